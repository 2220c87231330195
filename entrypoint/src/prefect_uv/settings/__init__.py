"""All settings, read once from the environment; one error reports every mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from prefect_uv.errors import SettingsInvalidError
from prefect_uv.settings import pip_variables, refused_variables, secret_files
from prefect_uv.settings.api_settings import ApiSettings
from prefect_uv.settings.cache_settings import CacheSettings
from prefect_uv.settings.declaration import read_setting
from prefect_uv.settings.environment_secrets import API_KEY, secrets_in
from prefect_uv.settings.policy_settings import PolicySettings
from prefect_uv.settings.project_settings import ProjectSettings
from prefect_uv.settings.run_settings import RunSettings
from prefect_uv.settings.tool_variables import OUR_PREFIX, variables_for_uv

DEPLOYMENT_VARIABLE = "PREFECT__DEPLOYMENT_ID"  # set by workers, by that of Prefect 3.6.20 but not by 3.6.13
DEPLOYMENT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings, CacheSettings, PolicySettings, ProjectSettings, ApiSettings):
    """The settings of one start.

    Attributes:
        given: the variables as they were given.
        environ: the variables for uv: the given ones except Prefect's, the secrets of indexes from files, and pip's
            variables translated to uv's.
        flow_environ: the variables for pull steps and the flow: the given ones, and the API's secrets from files.
        archive_dir: the cache volume if PREFECT_UV_LOCAL_DIR takes its place as `cache_dir`; else None.
        archive_readonly: nothing is written there.
        notes: lines for the log.
        replay_failures: an environment that another container could not build within the last minute is not tried
            again; commands started by hand do try again.
        mistakes: what is wrong with the given variables; a setting whose variable is wrong has its default.
        warnings: lines for the log about what is probably a mistake.
    """

    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    flow_environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    archive_dir: Path | None = None
    archive_readonly: bool = False
    notes: tuple[str, ...] = ()
    replay_failures: bool = True
    mistakes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_environ(cls, given: Mapping[str, str]) -> Settings:
        """Read all settings; an empty variable counts as not set.

        Raises:
            SettingsInvalidError: with one line per mistake.
        """
        settings = cls.read(given)
        settings.refuse_mistakes()
        return settings

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Settings:
        """Read all settings and note the mistakes, so that they can be reported to the API if that is known."""
        mistakes: list[str] = []
        given = _without_space_around_key(given)
        file_secrets = secret_files.read_secret_files(given, mistakes)
        environ, values = secret_files.with_secrets(given, file_secrets), _environments(given, file_secrets)
        declarations = [declared for declared in fields(cls) if declared.metadata]
        for declared in declarations:
            read_setting(declared, environ, values, mistakes)
        values |= _tiers(values)
        mistakes += refused_variables.refusals(environ)
        if values.get("flow_run_id") and not environ.get("PREFECT_API_URL"):
            mistakes.append("PREFECT_API_URL is not set")
        return cls(**values, given=given, mistakes=tuple(mistakes), warnings=_unknown_variables(given, declarations))

    def refuse_mistakes(self) -> None:
        """Check that there are no mistakes.

        Raises:
            SettingsInvalidError: with one line per mistake; the headline, which the state shows, names the variables.
        """
        if not self.mistakes:
            return
        names = ", ".join(re.split(r"[= ]", mistake)[0] for mistake in self.mistakes)
        several = len(self.mistakes) > 1
        raise SettingsInvalidError(
            f"{len(self.mistakes)} settings are invalid: {names}." if several else f"{self.mistakes[0]}.",
            "\n".join(self.mistakes) if several else "",
            "Correct the variables where they are set: in the deployment's job variables, the work pool, or with"
            " `docker run -e`.",
        )

    @property
    def deployment_id(self) -> str:
        """The id of the run's deployment, if the worker says it; otherwise empty."""
        deployment_id = self.flow_environ.get(DEPLOYMENT_VARIABLE, "")
        return deployment_id if DEPLOYMENT_ID.fullmatch(deployment_id) else ""

    def secrets(self) -> list[str]:
        """Every secret that must not be logged: the API's, and the credentials of indexes, proxies and netrc."""
        sent = (self.api_headers or {}).values()
        with_scheme = (value.rpartition(" ")[2] for value in sent)
        return [*sent, *with_scheme, *secrets_in({**self.flow_environ, **self.environ})]


def _tiers(values: Mapping[str, Any]) -> dict[str, Any]:
    """The node's directory as the cache directory, and the cache volume as the place of archives, if there are both."""
    if not values.get("local_dir"):
        return {}
    far = values.get("cache_dir", Settings.cache_dir)
    readonly = values.get("cache_readonly", False)
    return {
        "cache_dir": values["local_dir"],
        "cache_readonly": False,
        "archive_dir": far,
        "archive_readonly": readonly,
    }


def _without_space_around_key(given: Mapping[str, str]) -> Mapping[str, str]:
    """The variables without the line break at the end of the API key that many secret stores add, for the flow too.

    Nothing can send it. An auth string may end with one: it is sent in base64, and compared with the server's own.
    """
    key = given.get(API_KEY, "")
    return {**given, API_KEY: key.strip()} if key != key.strip() else given


def _unknown_variables(given: Mapping[str, str], declarations: Sequence[Field[Any]]) -> tuple[str, ...]:
    """A warning for each variable that looks like ours but is none."""
    known = {name for declared in declarations for name in declared.metadata["names"]}
    unknown = [name for name in given if name.startswith(OUR_PREFIX) and name not in known and given[name]]
    if not unknown:
        return ()
    from prefect_uv.settings.unknown_variables import warn_of_unknown  # noqa: PLC0415 (rarely needed)

    return warn_of_unknown(unknown, known)


def _environments(given: Mapping[str, str], file_secrets: Mapping[str, str]) -> dict[str, Any]:
    """The values of `environ`, `flow_environ` and `notes`; only uv gets the secrets of indexes."""
    for_uv, note = pip_variables.translate_to_uv(secret_files.with_secrets(given, file_secrets))
    api_secrets = {name: file_secrets[name] for name in secret_files.API_SECRETS if name in file_secrets}
    for_flow = secret_files.with_secrets(given, api_secrets)
    return {"environ": variables_for_uv(for_uv), "flow_environ": for_flow, "notes": (note,) if note else ()}
