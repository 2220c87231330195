"""A deployment's extra packages come from a Prefect Variable."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_uv.api.client import ApiClient
from prefect_uv.errors import SettingsInvalidError, VariableMissingError
from prefect_uv.log.run_log import RunLog
from prefect_uv.preparation import packages_from_variable
from prefect_uv.settings import Settings
from prefect_uv.settings.parsers import package_list
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server

NAME = "etl_packages"
SETTING = "PREFECT_UV_EXTRA_PACKAGES_VARIABLE"


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    """Settings that name a Variable."""
    return make_settings({SETTING: NAME})


@pytest.mark.parametrize(
    ("value", "packages"),
    [
        ("cowsay==6.1 humanize>=4", ("cowsay==6.1", "humanize>=4")),
        ("# for the report\ncowsay == 6.1\nhumanize\n", ("cowsay == 6.1", "humanize")),
        (["cowsay == 6.1", " humanize "], ("cowsay == 6.1", "humanize")),
        ("", ()),
        ([], ()),
    ],
)
def test_value_is_a_string_or_a_list(
    server: Server, settings: Settings, log: RunLog, value: Any, packages: tuple[str, ...]
) -> None:
    """A string is read like PREFECT_UV_EXTRA_PACKAGES, a list as requirements; an empty one has no packages."""
    server.on(f"GET /api/variables/name/{NAME}", Answer(body={"name": NAME, "value": value}))
    assert packages_from_variable(settings, log, None) == packages


def test_no_request_without_the_setting(server: Server, make_settings: MakeSettings, log: RunLog) -> None:
    """The API is not asked if the setting is not set."""
    assert packages_from_variable(make_settings(), log, None) == ()
    assert server.requests == []


def test_given_api_is_used(server: Server, settings: Settings, log: RunLog) -> None:
    """The client that is already connected is used."""
    server.on(f"GET /api/variables/name/{NAME}", Answer(body={"value": "cowsay"}))
    assert packages_from_variable(settings, log, ApiClient(settings)) == ("cowsay",)


def test_credentials_in_the_packages_are_masked(
    server: Server, settings: Settings, log: RunLog, capsys: pytest.CaptureFixture[str]
) -> None:
    """Credentials in URLs are masked in the log line, and from then on."""
    package = "etl @ https://bot:hush@hush@h/etl-1.0-py3-none-any.whl?sig=hidden"
    server.on(f"GET /api/variables/name/{NAME}", Answer(body={"value": [package]}))
    assert packages_from_variable(settings, log, None) == (package,)
    shown = capsys.readouterr().err
    assert (
        f"extra packages from the Prefect Variable '{NAME}': etl @ https://****@h/etl-1.0-py3-none-any.whl?sig=****\n"
        in shown
    )
    assert log.mask("hush@hush") == "****"


def test_missing_variable(settings: Settings, log: RunLog) -> None:
    """The error for a missing Variable names it, and the command that creates it."""
    with pytest.raises(VariableMissingError) as caught:
        packages_from_variable(settings, log, None)
    assert caught.value.render() == (
        "error[variable-missing]: There is no Prefect Variable 'etl_packages'.\n\n"
        "PREFECT_UV_EXTRA_PACKAGES_VARIABLE names it as the source of extra packages.\n\n"
        "hint: Create it with `prefect variable set etl_packages 'cowsay==6.1'`,"
        " or correct PREFECT_UV_EXTRA_PACKAGES_VARIABLE."
    )


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"cowsay": "6.1"}, """{"cowsay": "6.1"} is not a list of strings"""),
        (6.1, "6.1 is not a list of strings"),
        (None, "null is not a list of strings"),
        (["cowsay", 1], """["cowsay", 1] is not a list of strings"""),
        ("cowsay -i x", '"cowsay -i x" has the option -i, but may only list packages'),
        (["-r more.txt"], '["-r more.txt"] has the option -r more.txt, but may only list packages'),
    ],
)
def test_invalid_value(server: Server, settings: Settings, log: RunLog, value: Any, found: str) -> None:
    """The error shows the value, and what is wrong with it."""
    server.on(f"GET /api/variables/name/{NAME}", Answer(body={"value": value}))
    with pytest.raises(SettingsInvalidError) as caught:
        packages_from_variable(settings, log, None)
    assert caught.value.render() == (
        "error[settings-invalid]: The Prefect Variable 'etl_packages' is not a list of packages.\n\n"
        f"Its value {found}.\n\n"
        "hint: Make it a string as in PREFECT_UV_EXTRA_PACKAGES, or a list of requirements."
    )


def test_without_an_api(make_settings: MakeSettings, log: RunLog) -> None:
    """Without an API, which `exec` and `sync` do not need, the Variable cannot be read."""
    settings = make_settings({SETTING: NAME, "PREFECT_API_URL": ""})
    with pytest.raises(SettingsInvalidError) as caught:
        packages_from_variable(settings, log, None)
    assert caught.value.render() == (
        "error[settings-invalid]: PREFECT_UV_EXTRA_PACKAGES_VARIABLE needs the Prefect API,"
        " but PREFECT_API_URL is not set.\n\n"
        "The Prefect Variable 'etl_packages' cannot be read.\n\n"
        "hint: Set PREFECT_API_URL, or list the packages in PREFECT_UV_EXTRA_PACKAGES instead."
    )


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        (
            str(["cowsay==6.1", "humanize>=4; python_version > '3'"]),
            ("cowsay==6.1", "humanize>=4; python_version > '3'"),
        ),
        ('["cowsay==6.1", "humanize"]', ("cowsay==6.1", "humanize")),
        ("[]", ()),
        ("# none today", ()),
    ],
)
def test_list_in_a_job_variable(text: str, packages: tuple[str, ...]) -> None:
    """A list as Python or JSON writes it is read, since a worker fills in `{{ prefect.variables.NAME }}` like this."""
    assert package_list(text) == packages


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ("cowsay==6.1 humanize", ("cowsay==6.1", "humanize")),
        ("cowsay == 6.1 humanize >= 4, < 5", ("cowsay==6.1", "humanize>=4,<5")),
        ("cowsay @ git+https://me@git.example.com/cowsay.git", ("cowsay@git+https://me@git.example.com/cowsay.git",)),
        ("cowsay; python_version > '3'", ("cowsay; python_version > '3'",)),
        ("cowsay==6.1  # for the greeting", ("cowsay==6.1",)),
        ("cowsay ==6.1\n# and\nhumanize # too", ("cowsay ==6.1", "humanize # too")),
    ],
)
def test_words_in_a_job_variable(text: str, packages: tuple[str, ...]) -> None:
    """A single line is split at spaces; of several lines, each is one requirement."""
    assert package_list(text) == packages


@pytest.mark.parametrize("text", ["[cowsay]", "[1]", "['cowsay'"])
def test_invalid_list_in_a_job_variable(text: str) -> None:
    """Text in brackets that is not a list of strings is invalid."""
    with pytest.raises(ValueError, match="is not a list of strings"):
        package_list(text)
