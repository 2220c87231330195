"""All settings, read once from the environment; every mistake is reported in one error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from prefect_uv.errors import SettingsInvalidError
from prefect_uv.settings import pip_variables, secret_files
from prefect_uv.settings.api_settings import ApiSettings
from prefect_uv.settings.cache_settings import CacheSettings
from prefect_uv.settings.declaration import read_setting
from prefect_uv.settings.environment_secrets import secrets_in
from prefect_uv.settings.project_settings import ProjectSettings
from prefect_uv.settings.run_settings import RunSettings


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings, CacheSettings, ProjectSettings, ApiSettings):
    """The settings of one start.

    Attributes:
        environ: the environment for uv: what was given, with secrets from files, and pip's variables as uv's.
        flow_environ: the environment for git, pull steps and the flow: what was given, with the API's secrets.
        notes: what is worth a line in the log.
    """

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    flow_environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    @classmethod
    def from_environ(cls, given: Mapping[str, str]) -> Settings:
        """Read all settings; an empty variable counts as not set.

        Raises:
            SettingsInvalidError: with a line for each value that cannot be read.
        """
        mistakes: list[str] = []
        found = secret_files.read_secret_files(given, mistakes)
        environ, values = secret_files.with_secrets(given, found), _environments(given, found)
        for item in fields(cls):
            if item.metadata:
                read_setting(item, environ, values, mistakes)
        if values.get("flow_run_id") and not environ.get("PREFECT_API_URL"):
            mistakes.append("PREFECT_API_URL is not set")
        if mistakes:
            raise SettingsInvalidError(
                f"{len(mistakes)} setting{'s' * (len(mistakes) > 1)} cannot be read.",
                "\n".join(mistakes),
                "Correct the environment: the deployment's job variables, the work pool, or `docker run -e`.",
            )
        return cls(**values)

    def secrets(self) -> list[str]:
        """Every secret value among the settings, and the credentials of indexes and proxies."""
        found = [self.api_key, self.api_auth_string, self.api_auth_string.partition(":")[2]]
        return [*found, *(self.api_headers or {}).values(), *secrets_in({**self.flow_environ, **self.environ})]


def _environments(given: Mapping[str, str], found: Mapping[str, str]) -> dict[str, Any]:
    """What uv gets, and what everybody else gets: secrets from files are only for those who need them."""
    for_uv, note = pip_variables.mapped_to_uv(secret_files.with_secrets(given, found))
    for_flow = secret_files.with_secrets(
        given, {name: found[name] for name in secret_files.API_SECRETS if name in found}
    )
    return {"environ": for_uv, "flow_environ": for_flow, "notes": (note,) if note else ()}
