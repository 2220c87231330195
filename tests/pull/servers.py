"""Git servers: HTTPS with Basic authentication under the names of all providers, and SSH."""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack.process import background, ensure_running, free_port, wait_until
from tests.unit.git_server import GitHandler
from tests.unit.http_server import serve

HOSTS = (
    "github.test",
    "gitlab.test",
    "bitbucket.test",
    "bitbucketserver.test",
    "dev.azure.com",
    "git.corp.test",
    "other.test",
)
SECONDS = 20


@dataclass
class HttpsGit:
    """Repositories below a folder at `https://<any of HOSTS>:port/<name>`.

    Attributes:
        port: the port.
        ca: the certificate to trust.
        accepted: the `user:password` pairs that have access; if empty, everybody has.
        offered: the pairs that clients sent.
        requests: the method and path of every request.
        delay: how long an answer takes, in seconds.
    """

    port: int
    ca: Path
    accepted: set[str] = field(default_factory=set)
    offered: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    delay: float = 0

    @property
    def environ(self) -> dict[str, str]:
        """Variables that make git resolve the hosts to this server and trust it.

        git 2.37: http.curloptResolve, https://git-scm.com/docs/git-config
        """
        entries = [("http.curloptResolve", f"{host}:{self.port}:127.0.0.1") for host in HOSTS]
        variables = {"GIT_CONFIG_COUNT": str(len(entries)), "GIT_SSL_CAINFO": str(self.ca), "NO_PROXY": "*"}
        for number, (key, value) in enumerate(entries):
            variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return variables

    def url(self, host: str, path: str = "flows", userinfo: str = "") -> str:
        """The address of a repository on one of the hosts."""
        return f"https://{userinfo}{host}:{self.port}/{path}"


@contextmanager
def https_git(root: Path, folder: Path, address: str = "127.0.0.1", hosts: Sequence[str] = HOSTS) -> Iterator[HttpsGit]:
    """Serve the repositories below `root` under the names of `hosts`; certificate and key go to `folder`."""
    certificate, key = folder / "ca.pem", folder / "key.pem"
    names = ",".join(f"DNS:{host}" for host in hosts)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests"),
            *("-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    running = HttpsGit(0, certificate)

    class Handler(GitHandler):
        """Records the offered pairs, and answers requests with an accepted one."""

        def do_GET(self) -> None:
            time.sleep(running.delay)
            running.requests.append(f"{self.command} {self.path}")
            offered = self.headers.get("Authorization", "").removeprefix("Basic ")
            pair = base64.b64decode(offered).decode()
            running.offered += [pair] if pair else []
            if running.accepted and pair not in running.accepted:
                self._answer(401, {"WWW-Authenticate": 'Basic realm="tests"'}, b"")
                return
            header, _, body = self._backend().partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in header.decode().splitlines())
            self._answer(int(headers.pop("Status", "200").split()[0]), headers, body)

        do_POST = do_GET

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    Handler.root = root
    with serve(Handler, context, address) as port:
        running.port = port
        yield running


@dataclass(frozen=True)
class SshGit:
    """An SSH server, the private key that it accepts, and a known_hosts file with its host key."""

    host: str
    port: int
    key: Path
    known_hosts: Path

    def url(self, path: Path) -> str:
        """The address of a repository at a path on this machine."""
        return f"ssh://{getpass.getuser()}@{self.host}:{self.port}{path}"


def installed(program: str, package: str) -> str:
    """The path of a program; Debian's package is installed if there is none."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if shutil.which(program, path=path) is None:
        subprocess.run(["apt-get", "install", "--yes", "--quiet", package], check=True, timeout=300)
    found = shutil.which(program, path=path)
    assert found
    return found


@contextmanager
def ssh_git(folder: Path, host: str = "127.0.0.1") -> Iterator[SshGit]:
    """Run OpenSSH's server on a free port; it accepts one key."""
    program = installed("sshd", "openssh-server")
    for name in ("host", "client"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=SECONDS
        )
    (folder / "authorized").write_text((folder / "client.pub").read_text())
    port, log = free_port(host), folder / "log"
    Path("/run/sshd").mkdir(exist_ok=True)
    options = {
        "Port": port,
        "ListenAddress": host,
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "authorized",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
    }
    arguments = [argument for name, value in options.items() for argument in ("-o", f"{name}={value}")]
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(f"[{host}]:{port} {(folder / 'host.pub').read_text()}")
    with background([program, "-D", "-e", "-f", "/dev/null", *arguments], log, os.environ) as process:

        def listening() -> bool:
            ensure_running(process, log)
            return "Server listening" in log.read_text()

        wait_until(listening, "sshd", SECONDS)
        yield SshGit(host, port, folder / "client", known_hosts)
