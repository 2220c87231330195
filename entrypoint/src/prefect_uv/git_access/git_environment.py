"""Git's environment: no prompts, stalled transfers noticed, SSH with mounted files, credentials for one host.

uv gets the same variables, because it starts git for dependencies on git repositories.

git 2.31: settings in GIT_CONFIG_COUNT and its variables. https://git-scm.com/docs/git-config
"""

from __future__ import annotations

import os
import pwd
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.git_access.git_credentials import Login, credential_config, credential_environ
from prefect_uv.settings import Settings
from prefect_uv.settings.tool_variables import variables_for_git

ALWAYS_CONFIGURED = [
    ("advice.detachedHead", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    # git-lfs 3.6: eight by default, over a minute. https://github.com/git-lfs/git-lfs/blob/v3.6.1/docs/man/git-lfs-config.adoc
    ("lfs.transfer.maxRetries", "3"),
    # git 2.36: respected in the environment, which is protected configuration. https://git-scm.com/docs/git-config
    ("safe.directory", "*"),
    # git 2.47: programs that a repository's own files name. https://git-scm.com/docs/git-config
    ("core.fsmonitor", "false"),
    ("core.hooksPath", os.devnull),
    # git 2.47: reads from a descriptor, which nothing here ever writes to. https://git-scm.com/docs/git-remote-fd
    ("protocol.fd.allow", "never"),
]
# OpenSSH 9.9: https://man7.org/linux/man-pages/man5/ssh_config.5.html
SSH_COMMAND = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
# git 2.47: GIT_SSH_COMMAND hides this setting. https://git-scm.com/docs/git-config#Documentation/git-config.txt-coresshCommand
CONFIGURED_SSH_COMMAND = (
    'f() { if own=$(git config core.sshCommand); then sh -c "$own \\"\\$@\\"" "$own" "$@"; '
    f'else {SSH_COMMAND} "$@"; fi; }}; f'
)
# git-lfs has connections of its own, to this address in place of the server's.
NO_NETWORK = [("protocol.allow", "never"), ("protocol.file.allow", "user"), ("lfs.url", f"file://{os.devnull}")]
NSS_WRAPPER = "libnss_wrapper.so"


def git_environ(settings: Settings, environ: Mapping[str, str], url: str, login: Login | None) -> dict[str, str]:
    """The environment for git and the programs that it starts, for one address and login."""
    return variables_for_git(environ, settings.tool_variables) | {
        "LC_ALL": "C",
        **git_variables(settings, environ, url, login),
    }


def git_variables(
    settings: Settings, environ: Mapping[str, str], url: str = "", login: Login | None = None
) -> dict[str, str]:
    """The variables that git needs, also where another program starts it.

    Args:
        settings: name the SSH files, and say whether there is a network.
        environ: the variables that these are added to; the user's own for git count.
        url: an address on the only host that gets the login.
        login: the login for that host, if any.
    """
    config = [*ALWAYS_CONFIGURED, *(NO_NETWORK if settings.offline else ()), *credential_config(url, login)]
    first = int(environ.get("GIT_CONFIG_COUNT") or 0)
    counted = {"GIT_CONFIG_COUNT": str(first + len(config))}
    for number, (key, value) in enumerate(config, start=first):
        counted |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    access = {**_ca_bundle(environ), **credential_environ(login), **_ssh_variables(settings, environ)}
    return {"GIT_TERMINAL_PROMPT": "0", **counted, **access}


def _ca_bundle(environ: Mapping[str, str]) -> dict[str, str]:
    """The CA bundle that everything else in the container uses, unless git has one of its own."""
    bundle = environ.get("SSL_CERT_FILE")
    return {"GIT_SSL_CAINFO": bundle} if bundle and "GIT_SSL_CAINFO" not in environ else {}


def _ssh_variables(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The user's own SSH command, or OpenSSH without prompts and with the mounted key and host keys.

    git 2.47: passes GIT_SSH_COMMAND to the shell. https://git-scm.com/docs/git#_environment_variables
    """
    naming = _user_naming(environ)
    if program := environ.get("GIT_SSH"):
        program = shlex.quote(program)
    if own := environ.get("GIT_SSH_COMMAND") or program:
        return {"GIT_SSH_COMMAND": naming + own} if naming else {}
    mounted = ""
    if settings.ssh_key:
        mounted += f" -o IdentitiesOnly=yes -i {shlex.quote(str(settings.ssh_key))}"
    if settings.ssh_known_hosts:
        mounted += f" -o UserKnownHostsFile={shlex.quote(str(settings.ssh_known_hosts))}"
    command = SSH_COMMAND + mounted if mounted else CONFIGURED_SSH_COMMAND
    return {"GIT_SSH_COMMAND": naming + command, "GIT_SSH_VARIANT": environ.get("GIT_SSH_VARIANT") or "ssh"}


def _user_naming(environ: Mapping[str, str]) -> str:
    """The beginning of a shell command that gives a name to a uid without one, by nss_wrapper; otherwise empty.

    nss_wrapper 1.1: https://cwrap.org/nss_wrapper.html
    OpenSSH 9.9: "No user exists for uid", https://github.com/openssh/openssh-portable/blob/V_9_9_P1/ssh.c
    Held by tests/prefect/test_pull.py::test_ssh_without_a_passwd_entry.
    """
    uid = os.getuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        passwd = Path(tempfile.gettempdir()) / f"prefect-uv-passwd-{uid}"
        write_file(passwd, f"prefect:x:{uid}:{os.getgid()}:prefect:{environ.get('HOME', '/')}:/bin/sh\n")
        wrapped = f"NSS_WRAPPER_PASSWD={shlex.quote(str(passwd))} NSS_WRAPPER_GROUP=/etc/group"
        return f'export LD_PRELOAD="{NSS_WRAPPER} $LD_PRELOAD" {wrapped}; '
    return ""
