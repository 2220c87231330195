"""Variables with any text are read, or refused by an error that names them; they never break what reads them."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import example, given
from hypothesis import strategies as st

from prefect_uv.api.client import ApiClient
from prefect_uv.git_access.git_environment import git_environ
from prefect_uv.settings import Settings
from prefect_uv.settings.pip_variables import PIP_VARIABLES
from tests.unit.foreign import ends_in_order, fuzzed, variable_texts

VARIABLES = sorted({name for field in fields(Settings) for name in field.metadata.get("names", ())})
OTHERS = ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY", "NETRC", "HOME", "UV_INDEX_A_PASSWORD"]
FILES = ["PREFECT_API_KEY_FILE", "PREFECT_API_AUTH_STRING_FILE", "UV_INDEX_URL_FILE", "UV_INDEX_A_PASSWORD_FILE"]
NAMES = [*VARIABLES, *OTHERS, *FILES, *(row.pip for row in PIP_VARIABLES)]
VALID = [
    "",
    "1",
    "true",
    "https://127.0.0.1:9/api",
    "http://127.0.0.1:9/api",
    '{"X-Team": "data"}',
    "[1, 'a']",
    "/dev/null",
]

values = st.one_of(variable_texts, st.sampled_from(VALID))


@fuzzed
@given(environ=st.dictionaries(st.sampled_from(NAMES), values, max_size=6))
@example(environ={"PIP_FIND_LINKS": "a" * 5000})
@example(environ={"PREFECT_API_URL": "http://[::1"})
def test_any_variables(environ: dict[str, str]) -> None:
    """The settings, the API client and git's environment can be made from them, or the error is the user's."""
    given = {
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "PREFECT_CLIENT_MAX_RETRIES": "0",
        "PREFECT_UV_API_WAIT_SECONDS": "0.01",
        **environ,
    }
    with ends_in_order() as errors:
        settings = Settings.from_environ(given)
        assert all(isinstance(secret, str) for secret in settings.secrets())
        git_environ(settings, settings.flow_environ, "git@host.invalid:r.git", None)
        if settings.api_url:
            ApiClient(settings)
    assert all(error.render() for error in errors)


@fuzzed
@given(name=st.sampled_from(VARIABLES), value=values)
@example(name="PREFECT_UV_CACHE_LIMIT", value="9" * 5000)
@example(name="PREFECT_CLIENT_CUSTOM_HEADERS", value="[" * 100_000)
def test_any_value_of_each_variable(name: str, value: str) -> None:
    """Each variable alone, so that no mistake hides another."""
    with ends_in_order() as errors:
        Settings.from_environ({name: value})
    assert all(name in error.render() for error in errors)
