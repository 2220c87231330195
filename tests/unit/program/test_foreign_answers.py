"""Whatever answers in place of the Prefect API, a start never says that prefect-uv itself is at fault."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prefect_uv.api import flow_run
from prefect_uv.api.client import ApiClient
from prefect_uv.api.connections import connection_pool
from prefect_uv.api.patience import Patience, RetryPolicy
from prefect_uv.deployments.deployed_sessions import DeployedSessions
from prefect_uv.deployments.find_deployments import find_deployments
from prefect_uv.errors import ApiRefusedError, InternalError
from prefect_uv.pull.steps import pull
from prefect_uv.session import Session
from prefect_uv.session.run_lookup import ask
from prefect_uv.start import start
from tests.unit.conftest import MakeSettings
from tests.unit.foreign import damaged, fuzzed, mutated, odd_texts, odd_values
from tests.unit.http_server import Answer, Request, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
DEPLOYMENT = "11111111-2222-4333-8444-555555555555"
VERSION = "/api/admin/version"
FLOW_RUN = {
    "id": RUN,
    "name": "brave-fox",
    "deployment_id": DEPLOYMENT,
    "state": {"id": "1", "type": "PENDING", "name": "Late"},
}
BLOCK = {
    "data": {"value": "hush", "parts": [{"a": 1}]},
    "block_schema": {"fields": {"secret_fields": ["value", "a.*"]}},
    "block_type": {"slug": "secret"},
}
STEPS = "prefect.deployments.steps"
PULL_STEPS: list[Any] = [
    {f"{STEPS}.set_working_directory": {"id": "first", "directory": "{{ prefect.variables.where }}"}},
    {
        f"{STEPS}.run_shell_script": {
            "id": "second",
            "script": "true\ntrue {{ prefect.blocks.secret.token.parts[0].a }}",
            "directory": "{{ first.directory }}",
            "env": {"TOKEN": "{{ prefect.blocks.secret.token.value }}", "HOME": "{{ $HOME }}"},
            "stream_output": True,
            "expand_env_vars": False,
        }
    },
    {f"{STEPS}.pip_install_requirements": {"directory": "{{ first.directory }}", "requirements_file": "r.txt"}},
    {
        f"{STEPS}.git_clone": {
            "repository": "file:///nowhere/flows.git",
            "branch": "main",
            "credentials": {"$ref": {"block_document_id": "22222222-2222-4333-8444-555555555555"}},
            "directories": ["a"],
            "clone_directory_name": "x",
        }
    },
]
DOCUMENTS: dict[str, Any] = {
    f"GET /api/flow_runs/{RUN}": FLOW_RUN,
    f"GET /api/deployments/{DEPLOYMENT}": {"entrypoint": "flow.py:main", "path": ".", "pull_steps": PULL_STEPS},
    "GET /api/block_types/slug/secret/block_documents/name/token": BLOCK,
    "GET /api/block_documents/22222222-2222-4333-8444-555555555555": {**BLOCK, "data": {"token": "hush"}},
    "GET /api/variables/name/where": {"name": "where", "value": "."},
    f"POST /api/flow_runs/{RUN}/set_state": {
        "status": "ACCEPT",
        "state": {"id": "2", "type": "CRASHED", "name": "Crashed"},
    },
    "GET /api/csrf-token": {"token": "t"},
    "POST /api/logs/": None,
}
WARMED: dict[str, Any] = {
    "POST /api/deployments/filter": [
        {
            "id": DEPLOYMENT,
            "name": "nightly",
            "flow_id": RUN,
            "entrypoint": "flow.py:main",
            "path": ".",
            "pull_steps": PULL_STEPS[:1],
            "work_pool_name": "pool",
            "job_variables": {"env": {"A": "{{ prefect.variables.where }}"}, "env.B": "{{ image }}"},
        }
    ],
    "POST /api/flows/filter": [{"id": RUN, "name": "etl"}],
    "GET /api/work_pools/pool": {
        "base_job_template": {
            "job_configuration": {"env": {"C": "{{ $HOME }}"}},
            "variables": {"properties": {"env": {"default": {"D": "1"}}, "image": {"default": "x"}}},
        }
    },
}
STATUSES = [
    200,
    201,
    204,
    206,
    300,
    301,
    302,
    303,
    304,
    307,
    308,
    400,
    401,
    403,
    404,
    409,
    418,
    422,
    429,
    500,
    503,
    599,
    600,
    999,
]
LOCATIONS = [
    "http://[::1",
    "/api/admin/version",
    "//",
    "ftp://h/",
    "http://127.0.0.1:1/",
    "https://127.0.0.1:1/",
    "x" * 999,
]

headers = st.dictionaries(
    st.sampled_from(
        ["Location", "Retry-After", "Prefect-Maintenance", "Content-Encoding", "Transfer-Encoding", "X-Odd"]
    ),
    st.one_of(
        st.sampled_from([*LOCATIONS, "true", "60", "inf", "nan", "Fri, 31 Dec 9999 23:59:59 GMT", "chunked"]), odd_texts
    ),
    max_size=3,
).map(lambda given: {name: value for name, value in given.items() if value.isprintable() and value.isascii()})
bodies = st.one_of(odd_values, st.binary(max_size=40), st.just(b"[" * 100_000), st.just(b'{"a": NaN, "b": 1e999}'))
WHOLE = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\nX-Odd: 1\r\n\r\n"3.8.8"'


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the pull steps leave goes to a directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.txt").touch()
    yield
    os.chdir("/")


@fuzzed
@given(status=st.sampled_from(STATUSES), body=bodies, headers=headers)
@example(status=200, body=[], headers={})
@example(status=302, body=None, headers={"Location": "http://[::1"})
@example(status=503, body=None, headers={"Retry-After": "9" * 400})
def test_any_response(server: Server, status: int, body: Any, headers: dict[str, str]) -> None:
    """Any status, headers and body in place of a document."""
    for route in DOCUMENTS:
        server.on(route, Answer(status, body, headers))
    _run(server)


@fuzzed
@given(data=damaged(WHOLE))
def test_any_bytes(server: Server, data: bytes) -> None:
    """Anything in place of HTTP."""
    for route in DOCUMENTS:
        server.on(route, Answer(raw=data or b"\n"))
    _run(server)


@fuzzed
@given(data=st.data())
def test_any_document(server: Server, data: st.DataObject) -> None:
    """Documents with odd, missing and additional values, up to the pull steps and their blocks and variables."""
    odd = data.draw(st.sets(st.sampled_from(sorted(DOCUMENTS)), min_size=1, max_size=2))
    for route, document in DOCUMENTS.items():
        body = data.draw(mutated(document)) if route in odd else document
        server.on(route, Answer(200, body if route in odd and isinstance(body, bytes) else json.dumps(body).encode()))
    _run(server)


@fuzzed
@given(data=st.data())
def test_any_document_of_a_deployment(server: Server, data: st.DataObject) -> None:
    """What `warm` reads: deployments, their flows, and the base job template of their work pool."""
    odd = data.draw(st.sets(st.sampled_from(sorted(WARMED)), min_size=1, max_size=2))
    for route, document in {**DOCUMENTS, **WARMED}.items():
        body = data.draw(mutated(document)) if route in odd else document
        server.on(route, partial(_first_page, body))
    _start(server, _find_and_pull, ["warm", "--tag", "nightly"])


def _first_page(body: Any, request: Request) -> Answer:
    """The document; a list has no second page."""
    over = request.method == "POST" and b'"offset": 0' not in request.body
    return Answer(200, body if isinstance(body, bytes) else json.dumps([] if over else body).encode())


def _find_and_pull(session: Session) -> int:
    """Find deployments, and pull their code with the variables of their runs."""
    sessions = DeployedSessions(session)
    assert session.options.warm
    for deployment in find_deployments(sessions.api, session.options.warm):
        made = sessions.make(deployment)
        pull(made.deployment, made.settings, made.log, made.api)
    return 0


@pytest.mark.parametrize("status", [404, 405, 500])
def test_server_without_deployments_is_named(server: Server, status: int) -> None:
    """PREFECT_API_URL leads to something else: that is no fault of ours."""
    server.on("POST /api/deployments/filter", Answer(status))
    assert _start(server, _find_and_pull, ["warm", "--tag", "nightly"]) in {67, 68}


def _run(server: Server) -> None:
    """Ask and pull, as a start does."""

    def ask_and_pull(session: Session) -> int:
        deployment = session.phase("ask", ask, session)
        session.phase("pull", pull, deployment, session.settings, session.log, session.api)
        return 0

    _start(server, ask_and_pull, [], PREFECT__FLOW_RUN_ID=RUN)


def _start(server: Server, verb: Callable[[Session], int], words: list[str], **variables: str) -> int:
    """Start a command; a bug  of ours would have the exit code of `internal`.

    No request is sent again: a server under maintenance would be asked for ever.
    """
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "PREFECT_API_URL": server.url,
        "PREFECT_CLIENT_MAX_RETRIES": "0",
        "PREFECT_UV_API_WAIT_SECONDS": "0.01",
        "PREFECT_API_REQUEST_TIMEOUT": "0.5",
        "PREFECT_UV_GIT_MIRROR": "false",
        **variables,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Patience, "pause", lambda *_: False)
        patch.setattr(flow_run, "REPORT_POLICY", RetryPolicy(1, 0.5, 1))
        code = start(verb, environ, words)
    assert code != InternalError.exit_code
    return code


def test_response_that_is_too_large(
    server: Server, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so much is read, and the error says so."""
    monkeypatch.setattr(connection_pool, "LARGEST_BODY", 1000)
    server.on(f"GET {VERSION}", Answer(body="x" * 10_000))
    with pytest.raises(ApiRefusedError, match="sent more than"):
        ApiClient(make_settings()).version()


def test_response_that_is_cut_off(server: Server, make_settings: MakeSettings) -> None:
    """A connection that breaks within a response is no answer, and is retried."""
    server.on(f"GET {VERSION}", Answer(raw=WHOLE[:-3]), Answer(body="3.8.8"))
    assert ApiClient(make_settings()).version() == "3.8.8"


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ([], "the answer is a list"),
        ("a page", "the answer is a string"),
        (None, "the answer is missing"),
        ({"state": None}, "name is missing"),
        ({"name": 1.5}, "name is a number"),
        ({"name": "\0"}, "name has characters that it cannot have"),
        ({"name": "fox", "state": []}, "state is a list"),
        ({"name": "fox", "state": {"type": True}}, "type is a boolean"),
    ],
)
def test_error_says_what_is_wrong(server: Server, make_settings: MakeSettings, document: Any, wrong: str) -> None:
    """The headline has the first mistake, and the details have the document."""
    server.on(f"GET /api/flow_runs/{RUN}", Answer(200, json.dumps(document).encode()))
    with pytest.raises(ApiRefusedError) as caught:
        ApiClient(make_settings()).flow_run(RUN)
    assert caught.value.headline == f"What answers at {server.url} is not a Prefect API: {wrong}."
    assert json.dumps(document) in caught.value.found
