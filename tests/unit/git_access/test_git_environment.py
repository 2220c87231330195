"""Git's environment: configuration, credentials, certificates, SSH, and a name for a uid without one."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from prefect_uv.git_access.git_credentials import Login
from prefect_uv.git_access.git_environment import git_environ
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
    assert environ(URL, **mounted)["GIT_SSH_COMMAND"] == command, "a submodule may have an SSH address"


def ssh_run(tmp_path: Path, environ: dict[str, str]) -> str:
    """What the `ssh` that git starts gets: its arguments, and the variables of nss_wrapper."""
    program, calls = tmp_path / "bin" / "ssh", tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {calls}\nenv | grep -E "^(LD|NSS)_" >> {calls}\nexit 1\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    subprocess.run(["git", "ls-remote", SSH_URL], env={**environ, "PATH": path}, check=False, timeout=20)
    return calls.read_text()


@pytest.mark.parametrize(
    ("configured", "expected"),
    [("", "ssh -o BatchMode=yes"), ("ssh -F '/my own/config'", "ssh -F /my own/config")],
    ids=["ours", "the user's"],
)
def test_ssh_command_of_gits_configuration(tmp_path: Path, configured: str, expected: str) -> None:
    """Without mounted files, core.sshCommand counts, with every argument as git gives it."""
    (tmp_path / ".gitconfig").write_text(f'[core]\nsshCommand = "{configured}"\n' if configured else "")
    calls = ssh_run(tmp_path, environ(SSH_URL, HOME=str(tmp_path)))
    assert f"/{expected}" in calls
    assert calls.endswith(" git@git.example.invalid git-upload-pack 'team/etl.git'\n")


@pytest.mark.parametrize(
    "variables", [{}, {"GIT_SSH_COMMAND": "ssh -v"}, {"GIT_SSH": "ssh"}, {"PREFECT_UV_SSH_KEY": "/key"}], ids=str
)
def test_uid_without_a_name_gets_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str]
) -> None:
    """nss_wrapper gives a name to a uid without one, whatever SSH command is used, and for SSH alone."""
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = environ(SSH_URL, HOME="/home/prefect", **variables)
    assert "LD_PRELOAD" not in made
    calls = ssh_run(tmp_path, made)
    assert "LD_PRELOAD=libnss_wrapper.so" in calls
    passwd = re.search(r"NSS_WRAPPER_PASSWD=(.+)", calls)
    assert passwd
    assert re.match(r"prefect:x:4000000:\d+:prefect:/home/prefect:", Path(passwd[1]).read_text())
