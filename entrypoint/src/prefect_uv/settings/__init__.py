"""All settings, read once from the environment; every mistake is reported in one error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import unquote

from prefect_uv.errors import SettingsInvalidError
from prefect_uv.settings.api import ApiSettings
from prefect_uv.settings.project import ProjectSettings
from prefect_uv.settings.run import RunSettings
from prefect_uv.settings.store import StoreSettings
from prefect_uv.settings.variable import read

_URL_PASSWORD = re.compile(r"://(?:[^\s/@:]*:)?([^\s/@]+)@")


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings, StoreSettings, ProjectSettings, ApiSettings):
    """The settings of one start; `environ` is the environment they were read from, for child processes."""

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

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
                read(item, environ, values, mistakes)
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
