"""A server with TLS, and the private CA that signed its certificate."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.http_server import Answer, Server, running_server


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=20)


@pytest.fixture(scope="package")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a private CA (ca.pem) and a certificate for 127.0.0.1 (server.pem, server.key)."""
    directory = tmp_path_factory.mktemp("ca")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl(directory, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=CA", *extensions)
    _openssl(directory, "req", *key[:-2], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
    (directory / "san").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san", "-days", "2"]
    _openssl(directory, "x509", "-req", "-in", "server.csr", "-out", "server.pem", *signing)
    return directory


@pytest.fixture
def tls_server(certificates: Path) -> Iterator[Server]:
    """A server whose certificate the private CA signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with running_server(context) as server:
        server.on("GET /api/admin/version", Answer(body="3.8.8"))
        yield server
