"""Git's environment: no prompt, stalled transfers noticed, SSH with mounted files, credentials for one host."""

from __future__ import annotations

import os
import pwd
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

from prefect_uv.pull.git.git_credentials import Login, credential_config, credential_environ
from prefect_uv.settings import Settings

ALWAYS_CONFIGURED = [
    ("advice.detachedHead", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    ("safe.directory", "*"),
]
SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
NO_NETWORK = [("protocol.allow", "never"), ("protocol.file.allow", "user")]
OWN_SSH = ("GIT_SSH_COMMAND", "GIT_SSH")
NSS_WRAPPER = "libnss_wrapper.so"


def git_environ(settings: Settings, environ: Mapping[str, str], url: str, login: Login | None) -> dict[str, str]:
    """The environment for git and what it starts, for one address and login."""
    config = [*ALWAYS_CONFIGURED, *(NO_NETWORK if settings.offline else ()), *credential_config(url, login)]
    first = int(environ.get("GIT_CONFIG_COUNT") or 0)
    counted = {"GIT_CONFIG_COUNT": str(first + len(config))}
    for number, (key, value) in enumerate(config, start=first):
        counted |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    own = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **_certificates(environ), **credential_environ(login), **counted}
    return {**environ, **own, **_ssh(settings, environ, url)}


def _certificates(environ: Mapping[str, str]) -> dict[str, str]:
    """The CA bundle that everything else in the container uses."""
    bundle = environ.get("SSL_CERT_FILE")
    return {"GIT_SSL_CAINFO": bundle} if bundle and "GIT_SSL_CAINFO" not in environ else {}


def _ssh(settings: Settings, environ: Mapping[str, str], url: str) -> dict[str, str]:
    """OpenSSH without a prompt, with the mounted key and host keys, unless the user has a command of their own."""
    if url.startswith(("http://", "https://", "file://", "/")):
        return {}
    command = SSH
    if settings.ssh_key:
        command += f" -o IdentitiesOnly=yes -i {shlex.quote(str(settings.ssh_key))}"
    if settings.ssh_known_hosts:
        command += f" -o UserKnownHostsFile={shlex.quote(str(settings.ssh_known_hosts))}"
    own = {} if any(name in environ for name in OWN_SSH) else {"GIT_SSH_COMMAND": command}
    return own | _passwd_entry(environ)


def _passwd_entry(environ: Mapping[str, str]) -> dict[str, str]:
    """A name for a uid that has none, without which OpenSSH refuses to start (`No user exists for uid`)."""
    uid = os.getuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        entry = f"prefect:x:{uid}:{os.getgid()}:prefect:{environ.get('HOME', '/')}:/bin/sh\n"
        passwd = Path(tempfile.gettempdir()) / f"prefect-uv-passwd-{uid}"
        passwd.write_text(entry)
        wrapped = {"NSS_WRAPPER_PASSWD": str(passwd), "NSS_WRAPPER_GROUP": "/etc/group"}
        return {"LD_PRELOAD": f"{NSS_WRAPPER} {environ.get('LD_PRELOAD', '')}".strip(), **wrapped}
    return {}
