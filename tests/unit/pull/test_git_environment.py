"""Git's environment: configuration, credentials, certificates, SSH, and a name for a uid without one."""

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
    """Git's environment, made from these variables alone."""
    return git_environ(Settings.from_environ(variables), variables, url, login[0] if login else None)


def config(variables: dict[str, str]) -> list[tuple[str, str]]:
    """The configuration in GIT_CONFIG_COUNT and its variables."""
    count = int(variables["GIT_CONFIG_COUNT"])
    return [(variables[f"GIT_CONFIG_KEY_{number}"], variables[f"GIT_CONFIG_VALUE_{number}"]) for number in range(count)]


def test_configuration_of_the_user_is_kept() -> None:
    """Our configuration is added after the user's."""
    own = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.proxy", "GIT_CONFIG_VALUE_0": "http://proxy:1"}
    assert config(environ(URL, **own))[0] == ("http.proxy", "http://proxy:1")


def test_helper_serves_one_host() -> None:
    """The credential helper is for the repository's host alone, and the configuration has no secret."""
    configured = config(environ(URL, Login("ada", "s3cr3t")))
    helpers = [key for key, value in configured if key.endswith(".helper") and value]
    assert helpers == ["credential.https://git.example.invalid.helper"]
    assert "s3cr3t" not in str(configured)


def test_git_trusts_the_containers_certificates() -> None:
    """git uses SSL_CERT_FILE, unless it has a bundle of its own."""
    assert environ(URL, SSL_CERT_FILE="/ca")["GIT_SSL_CAINFO"] == "/ca"
    assert environ(URL, SSL_CERT_FILE="/ca", GIT_SSL_CAINFO="/own")["GIT_SSL_CAINFO"] == "/own"


def test_ssh_never_asks() -> None:
    """ssh runs in batch mode with the mounted files; the user's own command is left alone."""
    mounted = {"PREFECT_UV_SSH_KEY": "/a key", "PREFECT_UV_SSH_KNOWN_HOSTS": "/known"}
    command = environ(SSH_URL, **mounted)["GIT_SSH_COMMAND"]
    assert "BatchMode=yes" in command
    assert "-i '/a key'" in command
    assert "UserKnownHostsFile=/known" in command
    assert environ(SSH_URL, GIT_SSH_COMMAND="mine", **mounted)["GIT_SSH_COMMAND"] == "mine"
    assert "GIT_SSH_COMMAND" not in environ(URL, **mounted)


def test_uid_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """nss_wrapper gives a name to a uid without one, for SSH addresses only."""
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    variables = environ(SSH_URL, HOME="/home/prefect")
    assert variables["LD_PRELOAD"] == "libnss_wrapper.so"
    entry = Path(variables["NSS_WRAPPER_PASSWD"]).read_text()
    assert entry.startswith("prefect:x:4000000:")
    assert ":/home/prefect:" in entry
    assert "LD_PRELOAD" not in environ(URL)


def test_progress_of_long_work() -> None:
    """A line is logged again and again, until the work ends."""
    lines: list[str] = []
    enough = threading.Event()

    class Log(RunLog):
        """A log that keeps its lines."""

        def info(self, message: str) -> None:
            """Keep a line."""
            lines.append(message)
            if len(lines) == 2:
                enough.set()

    with logging_progress(Log(Mask()), "cloning x", every=0.01):
        assert enough.wait(10)
    assert lines[0].startswith("still cloning x after ")
    assert not [thread for thread in threading.enumerate() if thread.name == "still-going"]
