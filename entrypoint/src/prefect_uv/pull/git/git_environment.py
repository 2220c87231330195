"""Git's environment: no prompts, stalled transfers noticed, SSH with mounted files, credentials for one host.

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
from prefect_uv.pull.git.git_credentials import Login, credential_config, credential_environ
from prefect_uv.settings import Settings
from prefect_uv.settings.tool_variables import without_index_secrets

ALWAYS_CONFIGURED = [
    ("advice.detachedHead", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
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
NO_NETWORK = [("protocol.allow", "never"), ("protocol.file.allow", "user")]
USER_SSH_VARIABLES = ("GIT_SSH_COMMAND", "GIT_SSH")
NSS_WRAPPER = "libnss_wrapper.so"


def git_environ(settings: Settings, environ: Mapping[str, str], url: str, login: Login | None) -> dict[str, str]:
    """The environment for git and the programs that it starts, for one address and login."""
    config = [*ALWAYS_CONFIGURED, *(NO_NETWORK if settings.offline else ()), *credential_config(url, login)]
    first = int(environ.get("GIT_CONFIG_COUNT") or 0)
    counted = {"GIT_CONFIG_COUNT": str(first + len(config))}
    for number, (key, value) in enumerate(config, start=first):
        counted |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    fixed = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    ssh = _ssh_environ(environ, url, settings.ssh_key, settings.ssh_known_hosts)
    own = {**fixed, **_ca_bundle(environ), **credential_environ(login), **counted, **ssh}
    return without_index_secrets(environ) | own


def _ca_bundle(environ: Mapping[str, str]) -> dict[str, str]:
    """The CA bundle that everything else in the container uses, unless git has one of its own."""
    bundle = environ.get("SSL_CERT_FILE")
    return {"GIT_SSL_CAINFO": bundle} if bundle and "GIT_SSL_CAINFO" not in environ else {}


def _ssh_environ(environ: Mapping[str, str], url: str, key: Path | None, known_hosts: Path | None) -> dict[str, str]:
    """OpenSSH without prompts and with the mounted key and host keys, unless the user has set a command."""
    if url.startswith(("http://", "https://", "file://", "/")):
        return {}
    command = SSH_COMMAND
    if key:
        command += f" -o IdentitiesOnly=yes -i {shlex.quote(str(key))}"
    if known_hosts:
        command += f" -o UserKnownHostsFile={shlex.quote(str(known_hosts))}"
    has_command = any(name in environ for name in USER_SSH_VARIABLES)
    return ({} if has_command else {"GIT_SSH_COMMAND": command}) | _passwd_entry(environ)


def _passwd_entry(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that give a name to a uid without one, by nss_wrapper (https://cwrap.org/nss_wrapper.html).

    OpenSSH 9.9: "No user exists for uid", https://github.com/openssh/openssh-portable/blob/V_9_9_P1/ssh.c
    Held by tests/prefect/test_pull.py::test_ssh_without_a_passwd_entry.
    """
    uid = os.getuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        entry = f"prefect:x:{uid}:{os.getgid()}:prefect:{environ.get('HOME', '/')}:/bin/sh\n"
        passwd = Path(tempfile.gettempdir()) / f"prefect-uv-passwd-{uid}"
        write_file(passwd, entry)
        wrapped = {"NSS_WRAPPER_PASSWD": str(passwd), "NSS_WRAPPER_GROUP": "/etc/group"}
        return {"LD_PRELOAD": f"{NSS_WRAPPER} {environ.get('LD_PRELOAD', '')}".strip(), **wrapped}
    return {}
