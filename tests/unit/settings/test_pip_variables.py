"""pip's variables are translated for uv alone, and uv's own take precedence."""

from __future__ import annotations

import pytest

from prefect_uv.settings import Settings
from prefect_uv.settings.pip_variables import (
    PIP_VARIABLES,
    WITHOUT_COUNTERPART,
    PipVariable,
    named_as_given,
    without_indexes,
)

INDEX = "https://packages.example.com/simple"
OTHER = "https://other.example.com/simple"
NO_INDEX = f"PIP_NO_INDEX ({WITHOUT_COUNTERPART['PIP_NO_INDEX']})"


@pytest.mark.parametrize(
    ("pip", "value", "uv", "mapped"),
    [
        ("PIP_INDEX_URL", INDEX, "UV_DEFAULT_INDEX", INDEX),
        ("PIP_EXTRA_INDEX_URL", f"\n{INDEX}\n  {OTHER}", "UV_INDEX", f"{INDEX} {OTHER}"),
        ("PIP_FIND_LINKS", f"/tmp\t{OTHER} /missing", "UV_FIND_LINKS", f"/tmp,{OTHER}"),
        (
            "PIP_TRUSTED_HOST",
            "a.example.com b.example.com:8443",
            "UV_INSECURE_HOST",
            "a.example.com b.example.com:8443",
        ),
        ("PIP_CONSTRAINT", "/etc/constraints.txt", "UV_CONSTRAINT", "/etc/constraints.txt"),
        ("PIP_CERT", "/etc/my ca.pem", "SSL_CERT_FILE", "/etc/my ca.pem"),
        ("PIP_CLIENT_CERT", "/etc/client.pem", "SSL_CLIENT_CERT", "/etc/client.pem"),
        ("PIP_PROXY", "http://proxy:3128", "ALL_PROXY", "http://proxy:3128"),
    ],
)
def test_variable_is_translated_for_uv_alone(pip: str, value: str, uv: str, mapped: str) -> None:
    """uv gets each variable in its own form, a note says so, and git, pull steps and the flow get what was given."""
    settings = Settings.from_environ({pip: value})
    assert settings.environ == {pip: value, uv: mapped}
    assert settings.flow_environ == {pip: value}
    assert settings.notes == (f"pip's variables used for uv: {pip} as {uv}",)


@pytest.mark.parametrize("row", PIP_VARIABLES, ids=lambda row: row.pip)
def test_variable_of_uv_takes_precedence(row: PipVariable) -> None:
    """Any of uv's variables for the same purpose takes precedence over pip's."""
    for own in (row.uv, *row.also):
        settings = Settings.from_environ({row.pip: "/theirs", own: "/own"})
        assert settings.environ == {own: "/own"}
        assert settings.flow_environ == {row.pip: "/theirs", own: "/own"}
        assert settings.notes == (f"pip's variables not used: {row.pip} ({own} is set)",)


def test_empty_variable_is_unset() -> None:
    """An empty variable of pip or uv counts as not set."""
    settings = Settings.from_environ({"PIP_INDEX_URL": INDEX, "UV_DEFAULT_INDEX": "", "PIP_PROXY": ""})
    assert settings.environ["UV_DEFAULT_INDEX"] == INDEX
    assert "ALL_PROXY" not in settings.environ


def test_directory_that_does_not_exist_is_left_out() -> None:
    """A directory for PIP_FIND_LINKS that does not exist is dropped, because uv would fail."""
    settings = Settings.from_environ({"PIP_FIND_LINKS": "/missing"})
    assert settings.environ == {}
    assert settings.notes == ("pip's variables not used: PIP_FIND_LINKS (no such directory)",)


def test_note_says_what_is_used_and_what_is_not() -> None:
    """One note lists the variables that are used and those that are not, and why; without pip's there is none."""
    given = {"PIP_INDEX_URL": INDEX, "PIP_EXTRA_INDEX_URL": OTHER, "UV_INDEX": OTHER, "PIP_NO_INDEX": "1"}
    used = "PIP_INDEX_URL as UV_DEFAULT_INDEX"
    unused = f"PIP_EXTRA_INDEX_URL (UV_INDEX is set), {NO_INDEX}"
    assert Settings.from_environ(given).notes == (f"pip's variables used for uv: {used}; not used: {unused}",)
    assert Settings.from_environ({"UV_INDEX": OTHER}).notes == ()


def test_proxy_of_pip_is_not_for_the_api() -> None:
    """pip's proxy and certificates do not affect the API."""
    settings = Settings.from_environ({"PIP_PROXY": "http://proxy:3128", "PIP_CERT": "/ca.pem"})
    assert "ALL_PROXY" not in settings.flow_environ
    assert not settings.api_ca_file


def test_indexes_of_pip_can_be_removed() -> None:
    """Only the indexes that were translated from pip's variables are removed."""
    given = {"PIP_INDEX_URL": INDEX, "PIP_EXTRA_INDEX_URL": INDEX, "UV_INDEX": OTHER, "PIP_TRUSTED_HOST": "h"}
    remaining = without_indexes(Settings.from_environ(given).environ)
    assert remaining == {"PIP_INDEX_URL": INDEX, "UV_INDEX": OTHER, "PIP_TRUSTED_HOST": "h", "UV_INSECURE_HOST": "h"}


def test_hint_names_the_variable_that_was_set() -> None:
    """Whoever set pip's variable is not sent to look for uv's."""
    environ = Settings.from_environ({"PIP_INDEX_URL": INDEX, "PIP_EXTRA_INDEX_URL": OTHER, "UV_INDEX": OTHER}).environ
    hint = "Check UV_DEFAULT_INDEX, UV_INDEX and UV_INDEX_NAME_USERNAME."
    assert named_as_given(hint, environ) == "Check PIP_INDEX_URL, UV_INDEX and UV_INDEX_NAME_USERNAME."
