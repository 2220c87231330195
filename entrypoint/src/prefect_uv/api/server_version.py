"""The server's version, compared with that of the engine's Prefect while git is waited for: the engine need not do it.

Before a flow is Running, the engine asks the server for its version twice, on two connections. Prefect has a setting
against that, for processes whose server is known to be compatible.

Prefect 3.9.1: `check_server_version` of https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/_internal/version_checking.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from prefect_uv.api.client import ApiClient
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.processes.background_call import BackgroundCall
from prefect_uv.settings import Settings
from prefect_uv.settings.tool_variables import VERSION_CHECK

# https://github.com/PrefectHQ/prefect/pull/20973
CHECK_SETTING_SINCE = (3, 6, 21)
RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)")
ASK_POLICY = RetryPolicy(0, 5.0, 5.0)
ANSWER_SECONDS = 1.0
# It has no version, and Prefect does not ask it for one (`raise_for_api_version_mismatch`).
CLOUD = "https://api.prefect.cloud/"


class ServerVersion:
    """The server's version, which a thread asks for."""

    @classmethod
    def of_use(cls, settings: Settings, api: ApiClient) -> ServerVersion | None:
        """The version, if an engine with these settings would ask for it; otherwise None."""
        if VERSION_CHECK in settings.flow_environ or settings.api_url.startswith(CLOUD):
            return None
        return cls(api)

    def __init__(self, api: ApiClient) -> None:
        self._version = BackgroundCall(api.version, ASK_POLICY)

    def variables(self, prefect: str, environ: Mapping[str, str]) -> dict[str, str]:
        """The variable that spares the engine its own check, if that would find nothing to complain about.

        Args:
            prefect: the version of the engine's Prefect.
            environ: the engine's variables so far; what they say about the check stays.
        """
        engine = _release(prefect)
        if VERSION_CHECK in environ or engine < CHECK_SETTING_SINCE:
            return {}
        server = _release(self._version.result(ANSWER_SECONDS) or "")
        return {VERSION_CHECK: "false"} if server >= engine and server[:1] == engine[:1] else {}


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a release; none for a pre-release or a development version."""
    release = RELEASE.fullmatch(version)
    return tuple(map(int, release.groups())) if release else ()
