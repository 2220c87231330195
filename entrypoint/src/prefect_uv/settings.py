"""All settings, read once from the environment; every mistake is reported in one error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from prefect_uv.errors import SettingsInvalidError
from prefect_uv.parsers import (
    boolean,
    choice,
    headers,
    seconds,
    sigterm_behavior,
    size,
    status_codes,
    uids,
    url,
    uuid,
    whole_number,
)

_URL_PASSWORD = re.compile(r"://(?:[^\s/@:]*:)?([^\s/@]+)@")


def variable(  # noqa: PLR0913 (one declaration says everything about a setting)
    name: str, parse: Callable[[str], Any], default: Any, text: str, *, also: str = "", secret: bool = False
) -> Any:
    """Declare one setting: its variable, parser, default and sentence; `also` is read when `name` is not set."""
    metadata = {"name": name, "parse": parse, "help": text, "also": also, "secret": secret}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one start; `environ` is the environment they were read from, for child processes."""

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    flow_run_id: str = variable("PREFECT__FLOW_RUN_ID", uuid, "", "The flow run to execute; the worker sets it.")
    api_url: str = variable("PREFECT_API_URL", url, "", "Address of the Prefect API, ending in /api.")
    api_key: str = variable("PREFECT_API_KEY", str, "", "API key, sent as a Bearer token.", secret=True)
    api_auth_string: str = variable(
        "PREFECT_API_AUTH_STRING",
        str,
        "",
        "user:password for Basic authentication; wins over the key.",
        secret=True,
    )
    api_headers: dict[str, str] = variable(
        "PREFECT_CLIENT_CUSTOM_HEADERS",
        headers,
        None,
        "JSON object of headers added to every API request.",
        secret=True,
    )
    api_ca_file: str = variable(
        "PREFECT_API_SSL_CERT_FILE", str, "", "CA bundle for the API instead of the system's.", also="SSL_CERT_FILE"
    )
    api_insecure: bool = variable(
        "PREFECT_API_TLS_INSECURE_SKIP_VERIFY", boolean, False, "Do not verify the API's certificate."
    )
    api_csrf: bool = variable(
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", boolean, True, "Fetch and send CSRF tokens when the server wants them."
    )
    api_retries: int = variable(
        "PREFECT_CLIENT_MAX_RETRIES", whole_number, 5, "How often a failed API request is sent again."
    )
    api_retry_codes: tuple[int, ...] = variable(
        "PREFECT_CLIENT_RETRY_EXTRA_CODES", status_codes, (), "HTTP status codes to retry beside 408, 429, 502 and 503."
    )
    api_timeout: float = variable("PREFECT_API_REQUEST_TIMEOUT", seconds, 60.0, "Seconds to wait for an API answer.")
    cache_dir: Path = variable("PREFECT_UV_CACHE_DIR", Path, Path("/cache"), "Where the cache volume is mounted.")
    cache_limit: int | None = variable(
        "PREFECT_UV_CACHE_LIMIT",
        size,
        None,
        "Most bytes that the cache directory may hold, as `20G`; unset: four fifths of what the volume has for it.",
    )
    cache_days: int = variable(
        "PREFECT_UV_CACHE_DAYS",
        whole_number,
        30,
        "Days after which an environment or a mirror that nobody used is deleted.",
    )
    cache_readonly: bool = variable(
        "PREFECT_UV_CACHE_READONLY",
        boolean,
        False,
        "Use what the cache volume holds and write nothing to it; what it does not hold is built for the run only.",
    )
    cache_trust: tuple[int, ...] = variable(
        "PREFECT_UV_CACHE_TRUST",
        uids,
        (),
        "User ids whose environments are used, beside our own, root's and those of the cache directory's owner.",
    )
    git_timeout: float = variable(
        "PREFECT_UV_GIT_TIMEOUT", seconds, 900.0, "Seconds that one git command of a pull step may take."
    )
    git_mirror: bool = variable(
        "PREFECT_UV_GIT_MIRROR",
        boolean,
        True,
        "Keep clones on the cache volume, so that a pull moves only what is new.",
    )
    ssh_key: Path | None = variable("PREFECT_UV_SSH_KEY", Path, None, "Path of a private key for git over SSH.")
    ssh_known_hosts: Path | None = variable(
        "PREFECT_UV_SSH_KNOWN_HOSTS", Path, None, "Path of a known_hosts file for git over SSH."
    )
    lock: str = variable(
        "PREFECT_UV_LOCK",
        choice("locked", "frozen", "relock"),
        "locked",
        "What to do with a uv.lock that does not fit pyproject.toml: `locked` refuses it, `frozen` installs it,"
        " `relock` locks again for this run.",
    )
    launcher: str = variable(
        "PREFECT_UV_LAUNCHER",
        choice("uv", "python"),
        "uv",
        "Start the engine by `uv run` or by the environment's Python.",
    )
    supervise: bool = variable(
        "PREFECT_UV_SUPERVISE",
        boolean,
        True,
        "Stay as the engine's parent; `false` replaces the process by the engine.",
    )
    cancel_grace: float = variable(
        "PREFECT_UV_CANCEL_GRACE_SECONDS",
        seconds,
        30.0,
        "How long a cancelled or stopped flow may clean up before everything it started is killed.",
    )
    sigterm: str = variable(
        "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR",
        sigterm_behavior,
        "",
        "What a SIGTERM to the container means: `reschedule` the run, `relinquish` it to the infrastructure's own"
        " retry; otherwise it is a crash. The Kubernetes worker sets it.",
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read all settings; an empty variable counts as not set.

        Raises:
            SettingsInvalidError: with a line for each value that cannot be read.
        """
        values: dict[str, Any] = {"environ": dict(environ)}
        mistakes: list[str] = []
        for item in fields(cls):
            if item.metadata:
                _read(item.name, item.metadata, environ, values, mistakes)
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
        """Every secret value among the settings and in the environment's index and proxy credentials."""
        found = [self.api_key, self.api_auth_string, self.api_auth_string.partition(":")[2]]
        found += (self.api_headers or {}).values()
        for name, value in self.environ.items():
            if name.startswith("UV_") and name.endswith("_PASSWORD"):
                found.append(value)
            elif name.startswith(("UV_", "PIP_")) or name.lower().endswith("_proxy"):
                found += [unquote(password) for password in _URL_PASSWORD.findall(value)]
        return found


def _read(
    name: str, metadata: Mapping[str, Any], environ: Mapping[str, str], values: dict[str, Any], mistakes: list[str]
) -> None:
    source = next((key for key in (metadata["name"], metadata["also"]) if environ.get(key)), None)
    if source is None:
        return
    text = environ[source]
    try:
        values[name] = metadata["parse"](text)
    except ValueError as error:
        mistakes.append(f"{source}{'' if metadata['secret'] else f'={text}'} {error}")
