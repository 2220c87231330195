"""The engine's own check of the server's version is switched off if it would find nothing to complain about."""

from __future__ import annotations

import pytest

from prefect_uv.api.client import ApiClient
from prefect_uv.api.server_version import ServerVersion
from prefect_uv.settings.tool_variables import VERSION_CHECK
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server

VERSION = "GET /api/admin/version"


def variables(make_settings: MakeSettings, prefect: str, **environ: str) -> dict[str, str]:
    """The variables for an engine of this version."""
    return ServerVersion(ApiClient(make_settings())).variables(prefect, environ)


@pytest.mark.parametrize(("server_version", "prefect"), [("3.9.1", "3.9.1"), ("3.10.0", "3.9.1"), ("3.6.21", "3.6.21")])
def test_compatible(server: Server, make_settings: MakeSettings, server_version: str, prefect: str) -> None:
    """A server that is as new as the engine, and has its major version, is not checked again."""
    server.on(VERSION, Answer(body=server_version))
    assert variables(make_settings, prefect) == {VERSION_CHECK: "false"}


@pytest.mark.parametrize(
    ("answer", "prefect"),
    [
        (Answer(body="3.9.0"), "3.9.1"),  # Prefect warns of it
        (Answer(body="4.0.0"), "3.9.1"),  # Prefect refuses it
        (Answer(body="2.20.0"), "3.9.1"),
        (Answer(body="3.9.1"), "3.6.20"),  # has no such setting
        (Answer(body="3.9.1rc1"), "3.9.1"),  # older than the release
        (Answer(body="3.9.1.dev2+5.g0123"), "3.9.1"),
        (Answer(body="3.9.1"), "3.10.0.dev1"),
        (Answer(body="unknown"), "3.9.1"),
        (Answer(body={"version": "3.9.1"}), "3.9.1"),
        (Answer(404), "3.9.1"),
        (Answer(503), "3.9.1"),
    ],
)
def test_the_engine_checks_everything_else(
    server: Server, make_settings: MakeSettings, answer: Answer, prefect: str
) -> None:
    """Whatever the engine would warn of or refuse, and whatever cannot be known, is left to the engine."""
    server.on(VERSION, answer)
    assert variables(make_settings, prefect) == {}


def test_an_answer_that_does_not_come(server: Server, make_settings: MakeSettings) -> None:
    """A server that does not answer this is not waited for; the engine asks it."""
    server.on(VERSION, Answer(trouble="is silent"))
    assert variables(make_settings, "3.9.1") == {}


@pytest.mark.parametrize("value", ["true", "false"])
def test_the_users_value_stays(server: Server, make_settings: MakeSettings, value: str) -> None:
    """A run that sets the variable keeps its value, and nobody asks; a pull step may set it, too."""
    server.on(VERSION, Answer(body="3.9.1"))
    settings = make_settings({VERSION_CHECK: value})
    assert ServerVersion.of_use(settings, ApiClient(settings)) is None
    assert not server.to("GET", "/api/admin/version")
    assert variables(make_settings, "3.9.1", **{VERSION_CHECK: value}) == {}


def test_prefect_cloud(make_settings: MakeSettings) -> None:
    """Prefect Cloud has no version, and the engine does not ask it for one."""
    settings = make_settings(PREFECT_API_URL="https://api.prefect.cloud/api/accounts/a/workspaces/w")
    assert ServerVersion.of_use(settings, ApiClient(settings)) is None
