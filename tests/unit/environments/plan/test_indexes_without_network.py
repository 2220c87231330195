"""A real uv with pip's certificates, trusted hosts, proxy and constraints, against servers on this machine."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_uv.api.client import ApiClient
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.errors import IndexUnreachableError
from tests.unit.environments.plan.test_lock_indexes import serve_prefect
from tests.unit.etl import Etl, only_wheels, unlocked
from tests.unit.http_server import Answer, Server, running_server
from tests.unit.wheels import build_wheel

MakeStore = Callable[..., EnvironmentStore]
NOWHERE = "http://packages.invalid/api"


def packages(store: EnvironmentStore) -> dict[str, str]:
    """What is installed for a project that needs only Prefect."""
    return installed_versions(store.environment(unlocked("prefect")).path)


@pytest.mark.parametrize("how", ["PIP_CERT", "PIP_TRUSTED_HOST"])
def test_certificate_of_a_private_ca(
    etl: Etl, tls_server: Server, certificates: Path, make_store: MakeStore, how: str
) -> None:
    """It is trusted by its CA, or not checked for a trusted host."""
    serve_prefect(tls_server, etl)
    address = tls_server.url.split("/")[2]
    more = {"PIP_CERT": str(certificates / "ca.pem"), "PIP_TRUSTED_HOST": f"other.example {address}"}
    assert packages(make_store(PIP_INDEX_URL=tls_server.url, **{how: more[how]})) == {"prefect": "3.8.8"}


def test_unknown_ca_is_refused(etl: Etl, tls_server: Server, make_store: MakeStore) -> None:
    """Without pip's settings, the certificate is not trusted."""
    serve_prefect(tls_server, etl)
    with pytest.raises(IndexUnreachableError):
        packages(make_store(PIP_INDEX_URL=tls_server.url, UV_HTTP_RETRIES="0"))


@pytest.fixture
def proxy(etl: Etl) -> Iterator[Server]:
    """A proxy that answers for an index that does not exist otherwise."""
    with running_server() as running:
        serve_prefect(running, etl, prefix=f"{NOWHERE}/")
        yield running


def test_proxy(proxy: Server, make_store: MakeStore, server: Server) -> None:
    """The index is reached through the proxy, with the proxy's password; the API is reached directly."""
    store = make_store(
        PIP_INDEX_URL=NOWHERE, PIP_PROXY=proxy.url.replace("://", "://bot:hu%20sh@").removesuffix("/api")
    )
    assert packages(store) == {"prefect": "3.8.8"}
    authorization = f"Basic {base64.b64encode(b'bot:hu sh').decode()}"
    assert {request.headers.get("proxy-authorization") for request in proxy.requests} == {authorization}
    assert {"hu sh", "bot:hu sh", "hu%20sh"} <= set(store.settings.secrets())
    server.on("GET /api/admin/version", Answer(body="3.8.8"))
    assert ApiClient(store.settings).version() == "3.8.8"


def test_constraint(etl: Etl, make_store: MakeStore, tmp_path: Path) -> None:
    """It limits what is resolved, and after an edit of the file uv resolves again."""
    build_wheel(etl.wheels, "helper", "2.0", {"helper.py": "x = 2\n"})
    file = tmp_path / "constraints.txt"
    file.write_text("helper<2\n")
    more = {"UV_CONFIG_FILE": only_wheels(etl), "PIP_CONSTRAINT": str(file)}
    project = unlocked("prefect", "helper")
    assert installed_versions(make_store(**more).environment(project).path)["helper"] == "1.0"
    file.write_text("helper<3\n")
    assert installed_versions(make_store(**more).environment(project).path)["helper"] == "2.0"
