"""A redirect of a git server takes the login nowhere: git and its helper know it for one scheme, host and port."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from prefect_uv.git_access.git_credentials import Login
from prefect_uv.git_access.git_environment import git_environ
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server, running_server

REFS = "/api/flows.git/info/refs"
LOGIN = Login("bot", "hush")
UNAUTHORIZED = Answer(401, headers={"WWW-Authenticate": 'Basic realm="git"'})
BASIC = f"Basic {base64.b64encode(b'bot:hush').decode()}"


@pytest.mark.parametrize("target", ["plain", "other"])
def test_login_does_not_follow_a_redirect(
    tls_server: Server, certificates: Path, make_settings: MakeSettings, target: str
) -> None:
    """Git sends the login to the address of the step, and not to where that redirects: http, or another port."""
    with running_server() as other:
        url = tls_server.url.replace("https://", "http://") if target == "plain" else other.url
        redirect = Answer(302, headers={"Location": f"{url}/moved.git/info/refs"})
        tls_server.on(f"GET {REFS}", lambda request: redirect if "authorization" in request.headers else UNAUTHORIZED)
        for server in (tls_server, other):
            server.on("GET /api/moved.git/info/refs", UNAUTHORIZED)
        repository = f"{tls_server.url}/flows.git"
        environ = {**os.environ, "SSL_CERT_FILE": str(certificates / "ca.pem")}
        subprocess.run(
            ["git", "ls-remote", repository],
            env=git_environ(make_settings(), environ, repository, LOGIN),
            check=False,
            timeout=20,
            capture_output=True,
        )
        moved = [request for server in (tls_server, other) for request in server.to("GET", "/api/moved.git/info/refs")]
        used = {request.headers.get("authorization") for request in tls_server.to("GET", REFS)}
    assert BASIC in used
    assert moved
    assert [request.headers.get("authorization") for request in moved] == [None] * len(moved)
