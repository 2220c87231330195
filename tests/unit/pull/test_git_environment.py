"""Git's environment: lines of progress, SSH, and a name for a uid that has none."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from prefect_uv.log.mask import Mask
from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull.git.git_credentials import Login
from prefect_uv.pull.git.git_environment import git_environ
from prefect_uv.settings import Settings

URL = "https://git.example.invalid/team/etl"
SSH_URL = "git@git.example.invalid:team/etl.git"


def environ(url: str, /, *login: Login, **variables: str) -> dict[str, str]:
    """Git's environment, from these variables only."""
    return git_environ(Settings.from_environ(variables), variables, url, login[0] if login else None)


def config(variables: dict[str, str]) -> list[tuple[str, str]]:
    """The configuration that the variables carry."""
    count = int(variables["GIT_CONFIG_COUNT"])
    return [(variables[f"GIT_CONFIG_KEY_{number}"], variables[f"GIT_CONFIG_VALUE_{number}"]) for number in range(count)]


def test_configuration_of_the_user_stays() -> None:
    """Ours is added behind it."""
    own = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.proxy", "GIT_CONFIG_VALUE_0": "http://proxy:1"}
    assert config(environ(URL, **own))[0] == ("http.proxy", "http://proxy:1")


def test_helper_serves_one_host() -> None:
    """The login is for the repository's host, and the secret is in no configuration."""
    found = environ(URL, Login("ada", "s3cr3t"))
    helpers = [key for key, value in config(found) if key.endswith(".helper") and value]
    assert helpers == ["credential.https://git.example.invalid.helper"]
    assert "s3cr3t" not in str(config(found))


def test_certificates_are_those_of_the_container() -> None:
    """SSL_CERT_FILE counts for git as well, unless git has its own."""
    assert environ(URL, SSL_CERT_FILE="/ca")["GIT_SSL_CAINFO"] == "/ca"
    assert environ(URL, SSL_CERT_FILE="/ca", GIT_SSL_CAINFO="/own")["GIT_SSL_CAINFO"] == "/own"


def test_ssh_never_asks() -> None:
    """Batch mode, with the mounted files; a command of the user's own is left alone."""
    mounted = {"PREFECT_UV_SSH_KEY": "/a key", "PREFECT_UV_SSH_KNOWN_HOSTS": "/known"}
    command = environ(SSH_URL, **mounted)["GIT_SSH_COMMAND"]
    assert "BatchMode=yes" in command
    assert "-i '/a key'" in command
    assert "UserKnownHostsFile=/known" in command
    assert environ(SSH_URL, GIT_SSH_COMMAND="mine", **mounted)["GIT_SSH_COMMAND"] == "mine"
    assert "GIT_SSH_COMMAND" not in environ(URL, **mounted)


def test_uid_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By nss_wrapper, for git and ssh only."""
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = environ(SSH_URL, HOME="/home/prefect")
    assert found["LD_PRELOAD"] == "libnss_wrapper.so"
    entry = Path(found["NSS_WRAPPER_PASSWD"]).read_text()
    assert entry.startswith("prefect:x:4000000:")
    assert ":/home/prefect:" in entry
    assert "LD_PRELOAD" not in environ(URL)


def test_long_work_says_that_it_goes_on() -> None:
    """Again and again, until it ends."""
    said: list[str] = []
    enough = threading.Event()

    class Log(RunLog):
        """Notes the lines."""

        def info(self, message: str) -> None:
            """One line."""
            said.append(message)
            if len(said) == 2:
                enough.set()

    with logging_progress(Log(Mask()), "cloning x", every=0.01):
        assert enough.wait(10)
    assert said[0].startswith("still cloning x after ")
    assert not [thread for thread in threading.enumerate() if thread.name == "still-going"]
