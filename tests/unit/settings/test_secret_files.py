"""Secrets can come from mounted files, and are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.errors import SettingsInvalidError
from prefect_uv.settings import Settings

INDEX = "https://bot:hush-hush@packages.example.com/simple"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A mounted file with a trailing newline."""
    path = tmp_path / "secret"
    path.write_text("hush-hush\n")
    return path


@pytest.mark.parametrize("name", ["UV_INDEX_COMPANY_PASSWORD", "UV_INDEX_COMPANY_USERNAME", "UV_INDEX_URL_PASSWORD"])
def test_credentials_of_an_index(secret: Path, name: str) -> None:
    """uv alone gets the content instead of the file's name, and it is known as a secret."""
    settings = Settings.from_environ({f"{name}_FILE": str(secret)})
    assert settings.environ == {name: "hush-hush"}
    assert settings.flow_environ == {f"{name}_FILE": str(secret)}
    assert "hush-hush" in settings.secrets()


@pytest.mark.parametrize(
    ("name", "uv"),
    [
        ("UV_DEFAULT_INDEX", "UV_DEFAULT_INDEX"),
        ("UV_INDEX", "UV_INDEX"),
        ("UV_INDEX_URL", "UV_INDEX_URL"),
        ("UV_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL"),
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
    ],
)
def test_addresses_of_indexes(secret: Path, name: str, uv: str) -> None:
    """The URL of an index can come from a file, and its password is known as a secret."""
    secret.write_text(f" {INDEX}\n")
    settings = Settings.from_environ({f"{name}_FILE": str(secret)})
    assert settings.environ[uv] == INDEX
    assert {"hush-hush", "bot:hush-hush"} <= set(settings.secrets())


@pytest.mark.parametrize(
    ("name", "setting"), [("PREFECT_API_KEY", "api_key"), ("PREFECT_API_AUTH_STRING", "api_auth_string")]
)
def test_credentials_of_the_api(secret: Path, name: str, setting: str) -> None:
    """The flow gets them too, because Prefect does not read files."""
    settings = Settings.from_environ({f"{name}_FILE": str(secret)})
    assert getattr(settings, setting) == "hush-hush"
    assert settings.flow_environ == {name: "hush-hush"}
    assert "hush-hush" in settings.secrets()
    assert "hush-hush" not in repr(settings)


@pytest.mark.parametrize(
    "name", ["UV_CONFIG_FILE", "UV_ENV_FILE", "SSL_CERT_FILE", "GIT_FILE", "UV_INDEX_STRATEGY_FILE"]
)
def test_other_variables_with_the_suffix_are_left_alone(secret: Path, name: str) -> None:
    """Variables of uv and of others that end in _FILE are passed on unchanged."""
    assert Settings.from_environ({name: str(secret)}).environ == {name: str(secret)}


def test_empty_file_variable_is_unset() -> None:
    """An empty variable counts as not set."""
    assert Settings.from_environ({"PREFECT_API_KEY_FILE": "", "PREFECT_API_KEY": "pnu_key"}).api_key == "pnu_key"


def test_all_mistakes_are_reported_without_contents(tmp_path: Path, secret: Path) -> None:
    """One error lists every mistake with variable and path, and shows nothing of the files."""
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"hush-hush\xff")
    (tmp_path / "nul").write_bytes(b"hush-hush\0")
    with pytest.raises(SettingsInvalidError) as caught:
        Settings.from_environ(
            {
                "PREFECT_API_KEY": "pnu_key",
                "PREFECT_API_KEY_FILE": str(secret),
                "PREFECT_API_AUTH_STRING_FILE": f"{tmp_path}/missing",
                "UV_INDEX_FILE": f"{tmp_path}/empty",
                "UV_INDEX_A_PASSWORD_FILE": f"{tmp_path}/binary",
                "UV_INDEX_B_PASSWORD_FILE": f"{tmp_path}/nul",
                "PIP_INDEX_URL_FILE": str(tmp_path),
            }
        )
    assert caught.value.render() == (
        "error[settings-invalid]: 6 settings are invalid: PREFECT_API_KEY, PREFECT_API_AUTH_STRING_FILE,"
        " UV_INDEX_FILE, UV_INDEX_A_PASSWORD_FILE, UV_INDEX_B_PASSWORD_FILE, PIP_INDEX_URL_FILE.\n\n"
        "PREFECT_API_KEY and PREFECT_API_KEY_FILE are both set\n"
        f"PREFECT_API_AUTH_STRING_FILE={tmp_path}/missing cannot be read (No such file or directory)\n"
        f"UV_INDEX_FILE={tmp_path}/empty is empty\n"
        f"UV_INDEX_A_PASSWORD_FILE={tmp_path}/binary is not a text file\n"
        f"UV_INDEX_B_PASSWORD_FILE={tmp_path}/nul is not a text file\n"
        f"PIP_INDEX_URL_FILE={tmp_path} cannot be read (Is a directory)\n\n"
        "hint: Correct the variables where they are set: in the deployment's job variables, the work pool, or with"
        " `docker run -e`."
    )


@pytest.mark.parametrize(
    ("environ", "secrets"),
    [
        ({"UV_INDEX_A_USERNAME": "bot", "UV_INDEX_A_PASSWORD": "p@ss/w:rd"}, {"p@ss/w:rd", "bot:p@ss/w:rd"}),
        ({"UV_INDEX_A_USERNAME": "t0ken-alone"}, {"t0ken-alone"}),
        ({"UV_GITHUB_TOKEN": "ghp_0123"}, {"ghp_0123"}),
        ({"UV_INDEX": "a=https://bot:p%40ss%2fw@h/simple"}, {"p%40ss%2fw", "p@ss/w", "bot:p@ss/w"}),
        ({"PIP_INDEX_URL": "https://t0ken:@h/simple", "UV_DEFAULT_INDEX": "https://h/"}, {"t0ken"}),
        ({"PREFECT_UV_EXTRA_PACKAGES": "etl@https://t0ken@h/etl.whl"}, {"t0ken"}),
    ],
)
def test_secrets_are_known_in_every_form(environ: dict[str, str], secrets: set[str]) -> None:
    """Secrets are known raw and percent-decoded, alone and as the `user:password` of basic authentication."""
    assert secrets <= set(Settings.from_environ(environ).secrets())


@pytest.mark.parametrize("variable", ["NETRC", "HOME"])
def test_passwords_in_netrc_are_known(tmp_path: Path, variable: str) -> None:
    """The passwords in $NETRC or in ~/.netrc are known as secrets."""
    path = tmp_path / ".netrc"
    path.write_text('machine a login bot password hush-hush\nmachine b\n  login ada\n  password "hu sh \\" x"\n')
    settings = Settings.from_environ({variable: str(path if variable == "NETRC" else tmp_path)})
    assert settings.secrets()[-2:] == ["hush-hush", 'hu sh " x']


def test_passwords_of_both_netrc_files_are_known(tmp_path: Path) -> None:
    """With NETRC set, uv reads that file and git still reads ~/.netrc, so the passwords of both are secrets."""
    (tmp_path / ".netrc").write_text("machine git.invalid login bot password for-git\n")
    (tmp_path / "netrc").write_text("machine index.invalid login bot password for-uv\n")
    settings = Settings.from_environ({"NETRC": str(tmp_path / "netrc"), "HOME": str(tmp_path)})
    assert {"for-git", "for-uv"} <= {*settings.secrets()}
