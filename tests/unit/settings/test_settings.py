"""Settings are read once, and all mistakes are reported together."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import h11
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prefect_uv
from prefect_uv.errors import SettingsInvalidError
from prefect_uv.settings import Settings
from prefect_uv.settings.parsers import FALSE, TRUE, boolean, choice, headers, seconds, status_codes, url, uuid
from prefect_uv.settings.parsers import whole_number as whole

ID = "0c7a4b5e-1111-4222-8333-444455556666"


@pytest.mark.parametrize("text", [*sorted(TRUE), "TRUE", "On"])
def test_boolean_true_words(text: str) -> None:
    """Every spelling of true that Prefect or uv accepts is true."""
    assert boolean(text) is True


@pytest.mark.parametrize("text", [*sorted(FALSE), "FALSE", "Off"])
def test_boolean_false_words(text: str) -> None:
    """Every spelling of false that Prefect or uv accepts is false."""
    assert boolean(text) is False


@pytest.mark.parametrize("text", ["2", "ja", "tru", " ", "none"])
def test_unknown_boolean_is_invalid(text: str) -> None:
    """An unknown word is an error, and never False."""
    with pytest.raises(ValueError, match="is not a boolean"):
        boolean(text)


def test_values_are_parsed() -> None:
    """Each parser returns the value that the text means."""
    assert uuid(ID.upper().replace("-", "")) == ID
    assert whole("0") == 0
    assert seconds("2.5") == 2.5
    assert url("https://prefect.example/api/") == "https://prefect.example/api"
    assert headers('{"X-Team": "data"}') == {"X-Team": "data"}
    assert status_codes("500, 504,") == (500, 504)
    assert choice("locked", "frozen")("frozen") == "frozen"


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many"])
def test_invalid_whole_number(text: str) -> None:
    """Only 0 and positive integers are whole numbers."""
    with pytest.raises(ValueError, match="is not a whole number"):
        whole(text)


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan"])
def test_invalid_seconds(text: str) -> None:
    """A duration is a number above 0."""
    with pytest.raises(ValueError, match="is not a number of seconds"):
        seconds(text)


@pytest.mark.parametrize("text", ["[]", '{"a": 1}', "a=b", "null"])
def test_invalid_headers(text: str) -> None:
    """Headers must be a JSON object of strings."""
    with pytest.raises(ValueError, match="is not a JSON object of strings"):
        headers(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT__FLOW_RUN_ID", "not-an-id"),
        ("PREFECT_API_URL", "prefect.example/api"),
        ("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "maybe"),
        ("PREFECT_CLIENT_MAX_RETRIES", "few"),
        ("PREFECT_CLIENT_RETRY_EXTRA_CODES", "4xx"),
        ("PREFECT_API_REQUEST_TIMEOUT", "0"),
        ("PREFECT_UV_LOCK", "thawed"),
        ("PREFECT_UV_LAUNCHER", "pip"),
        ("PREFECT_UV_SUPERVISE", "sometimes"),
    ],
)
def test_mistake_shows_variable_and_value(name: str, value: str) -> None:
    """An invalid value is shown with its variable."""
    with pytest.raises(SettingsInvalidError) as caught:
        Settings.from_environ({"PREFECT_API_URL": "http://x/api"} | {name: value})
    assert re.match(rf"{name}={value} (is not|does not start with) .+\.$", caught.value.headline)


def test_all_mistakes_are_in_one_error() -> None:
    """One error lists every mistake, including a missing API URL."""
    with pytest.raises(SettingsInvalidError) as caught:
        Settings.from_environ(
            {"PREFECT__FLOW_RUN_ID": ID, "PREFECT_UV_LOCK": "thawed", "PREFECT_UV_SUPERVISE": "sometimes"}
        )
    names = "PREFECT_UV_LOCK, PREFECT_UV_SUPERVISE, PREFECT_API_URL"
    assert caught.value.headline == f"3 settings are invalid: {names}."
    assert caught.value.found.splitlines() == [
        "PREFECT_UV_LOCK=thawed is not one of locked, frozen, relock",
        "PREFECT_UV_SUPERVISE=sometimes is not a boolean (true or false)",
        "PREFECT_API_URL is not set",
    ]


def test_secret_value_is_not_shown() -> None:
    """An invalid secret is named without its value."""
    with pytest.raises(SettingsInvalidError) as caught:
        Settings.from_environ({"PREFECT_CLIENT_CUSTOM_HEADERS": '{"X-Token": "hush-hush"'})
    assert caught.value.headline == "PREFECT_CLIENT_CUSTOM_HEADERS is not a JSON object of strings."


@pytest.mark.parametrize("around", ["{}\n", "\r\n{}\r\n", " {}\t"])
def test_white_space_around_the_api_key_is_dropped(around: str) -> None:
    """A secret store adds a line break, which no header can have: neither our requests nor the flow's get it."""
    settings = Settings.from_environ({"PREFECT_API_KEY": around.format("pnu_0123456789")})
    assert settings.api_key == "pnu_0123456789"
    assert settings.flow_environ == {"PREFECT_API_KEY": "pnu_0123456789"}
    assert Settings.from_environ({"PREFECT_API_KEY": "\n"}).api_key == ""


def test_auth_string_is_sent_as_it_is() -> None:
    """The server compares it with its own, line break and all."""
    assert Settings.from_environ({"PREFECT_API_AUTH_STRING": "admin:hush\n"}).api_auth_string == "admin:hush\n"


@given(secret=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=8))
def test_key_or_header_that_cannot_be_sent_is_named_and_not_shown(secret: str) -> None:
    """What http.client or Prefect's client would refuse, and show in the message, is invalid; all else is sent."""
    mistakes = []
    for name, value in (
        ("PREFECT_API_KEY", secret),
        ("PREFECT_CLIENT_CUSTOM_HEADERS", json.dumps({"X-Token": secret})),
    ):
        try:
            settings = Settings.from_environ({name: value, "PREFECT_API_URL": "http://127.0.0.1:9/api"})
        except SettingsInvalidError as error:
            mistakes.append(error.render())
        else:
            sent = [settings.api_key, *(settings.api_headers or {}).values()]
            httpx.Request("GET", "http://h/", headers=[("A", value) for value in sent])
            assert all(h11.Request(method="GET", target="/", headers=[("host", "h"), ("a", value)]) for value in sent)
    assert all(re.search("PREFECT_API_KEY has characters|has the header 'X-Token'", mistake) for mistake in mistakes)
    assert not any(len(secret.strip()) > 8 and secret.strip() in mistake for mistake in mistakes)


def test_header_name_that_cannot_be_sent_is_invalid() -> None:
    """A name has no spaces, colons or line breaks."""
    for name in ("X Token", "X-Token:", "X-Token\n", ""):
        with pytest.raises(ValueError, match=r"has the header .*, whose name or value HTTP cannot send"):
            headers(json.dumps({name: "x"}))


def test_empty_is_unset() -> None:
    """An empty variable counts as not set."""
    names = ["PREFECT__FLOW_RUN_ID", "PREFECT_API_URL", "PREFECT_UV_LOCK", "PREFECT_UV_SUPERVISE"]
    settings = Settings.from_environ(dict.fromkeys([*names, "PREFECT_UV_CACHE_DIR"], ""))
    assert (settings.flow_run_id, settings.api_url, settings.lock) == ("", "", "locked")
    assert (settings.supervise, settings.cache_dir) == (True, Path("/cache"))


def test_ca_file_of_prefect_takes_precedence() -> None:
    """SSL_CERT_FILE is read only if Prefect's own variable is not set, or empty."""
    assert Settings.from_environ({"SSL_CERT_FILE": "/a"}).api_ca_file == "/a"
    assert Settings.from_environ({"SSL_CERT_FILE": "/a", "PREFECT_API_SSL_CERT_FILE": "/b"}).api_ca_file == "/b"
    assert Settings.from_environ({"SSL_CERT_FILE": "/a", "PREFECT_API_SSL_CERT_FILE": ""}).api_ca_file == "/a"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("PREFECT_API_KEY", "pnu_0123456789", "pnu_0123456789"),
        ("PREFECT_API_AUTH_STRING", "admin:hush-hush", "hush-hush"),
        ("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-Token": "hush-hush"}', "hush-hush"),
        ("UV_INDEX_PRIVATE_PASSWORD", "hush-hush", "hush-hush"),
        ("UV_INDEX", "private=https://bot:hush-hush@index.example/simple", "hush-hush"),
        ("UV_DEFAULT_INDEX", "https://bot:hush-hush@index.example/simple", "hush-hush"),
        ("HTTPS_PROXY", "http://bot:hush-hush@proxy.example:3128", "hush-hush"),
    ],
)
def test_secrets_are_known(name: str, value: str, secret: str) -> None:
    """Credentials are known as secrets, whichever variable contains them."""
    assert secret in Settings.from_environ({name: value}).secrets()


def test_only_settings_read_the_environment() -> None:
    """No module reads the process's environment, except the program and its command line."""
    package = Path(prefect_uv.__file__).parent
    readers = {str(path.relative_to(package)) for path in package.rglob("*.py") if _reads_environment(path)}
    other_programs = {
        "bundles/_bundle_flow.py",
        "bundles/_fetch_bundle.py",
        "bundles/_run_bundle.py",
        "commands/pip.py",
        "engine/start_up/_early_run.py",
        "environments/uv/backend_start/sitecustomize.py",
        "pull/_perform_step.py",
    }
    assert readers <= {"command_line.py", "__main__.py"} | other_programs


def _reads_environment(path: Path) -> bool:
    names = {"environ", "environb", "getenv", "getenvb"}
    tree = ast.parse(path.read_text())
    attributes = any(
        isinstance(node, ast.Attribute)
        and node.attr in names
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        for node in ast.walk(tree)
    )
    imports = any(
        isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names}
        for node in ast.walk(tree)
    )
    return attributes or imports


@pytest.mark.parametrize(
    ("variable", "warnings"),
    [
        ("PREFECT_UV_GROUP", ["PREFECT_UV_GROUP does not exist and is ignored: did you mean PREFECT_UV_GROUPS?"]),
        (
            "PREFECT_UV_TIMEOUT",
            ["PREFECT_UV_TIMEOUT does not exist and is ignored: did you mean PREFECT_UV_GIT_TIMEOUT?"],
        ),
        ("PREFECT_UV_XYZ", ["PREFECT_UV_XYZ does not exist and is ignored"]),
        ("PREFECT_UV_SERVICE_HOST", []),
        ("PREFECT_UV_PORT_8080_TCP_ADDR", []),
        ("PREFECT_UV_WEB_SERVICE_PORT", []),
        ("PREFECT_UVX", []),
    ],
)
def test_variable_that_does_not_exist(variable: str, warnings: list[str]) -> None:
    """A misspelled variable is a warning with the nearest name; those of a Kubernetes Service are none of ours."""
    assert list(Settings.from_environ({variable: "x"}).warnings) == warnings


def test_known_and_empty_variables_give_no_warning() -> None:
    """Neither does a variable that is set to nothing, as a template may leave it."""
    given = {"PREFECT_UV_GROUPS": "etl", "EXTRA_PIP_PACKAGES": "six", "PREFECT_UV_GRUPS": ""}
    assert Settings.from_environ(given).warnings == ()


def test_variables_with_which_nothing_works(tmp_path: Path) -> None:
    """Each is refused by its name, all together; a library that exists may be preloaded."""
    library = tmp_path / "libjemalloc.so.2"
    library.touch()
    refused = {
        "PYTHONHOME": "/usr",
        "PYTHONINSPECT": "1",
        "GIT_DIR": "/srv/git",
        "LD_PRELOAD": f"libnss_wrapper.so {library}:/nowhere/x.so",
        "LD_AUDIT": "/usr/$LIB/a.so",
    }
    with pytest.raises(SettingsInvalidError) as caught:
        Settings.from_environ(refused)
    assert caught.value.headline == ("4 settings are invalid: PYTHONHOME, PYTHONINSPECT, GIT_DIR, LD_PRELOAD.")
    lines = caught.value.found.splitlines()
    assert lines[0] == (
        "PYTHONHOME=/usr makes every Python look elsewhere for its standard library and packages: remove it"
    )
    assert lines[-1].endswith(" names /nowhere/x.so, which does not exist")


def test_variables_that_may_be_set(tmp_path: Path) -> None:
    """What works with plain uv and Python is left alone, and so is an empty variable."""
    library = tmp_path / "libjemalloc.so.2"
    library.touch()
    allowed = {"PYTHONSAFEPATH": "1", "LD_PRELOAD": str(library), "LD_LIBRARY_PATH": "/nowhere", "PYTHONHOME": ""}
    assert Settings.from_environ(allowed).flow_environ == allowed
