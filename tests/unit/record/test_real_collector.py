"""The spans of whole starts in Phoenix, a collector that others wrote: it takes Protocol Buffers only.

`test_what_is_sent` holds the promise in `make test`, with OpenTelemetry's own definition of the protocol.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.stack.environment import index_environment
from tests.stack.process import background, ensure_running, free_port, tool, wait_until
from tests.unit.record.test_recorder import PARENT, Starts, starts
from tests.unit.record.test_span_exporter import ENDPOINT

__all__ = ["starts"]

MACHINE = {**os.environ, **index_environment()}
"""This machine's package index, certificates and proxies, before the environment of the unit tests is cleaned."""
PHOENIX = "arize-phoenix==20.26.1"
HOST = "127.0.0.1"

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Phoenix server, in an environment of its own, which tells nobody that it runs."""
    folder = tmp_path_factory.mktemp("phoenix")
    python = folder / "venv" / "bin" / "python"
    environment = ["venv", "--python", sys.executable, str(folder / "venv")]
    for words in (environment, ["pip", "install", "--python", str(python), PHOENIX]):
        subprocess.run([tool("uv"), "--quiet", *words], cwd=folder, env=MACHINE, check=True, timeout=400)
    port = free_port(HOST)
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PHOENIX_HOST": HOST,
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port(HOST)),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    url, log = f"http://{HOST}:{port}", folder / "log"
    with background([str(python.with_name("phoenix")), "serve"], log, variables) as server:

        def is_up() -> bool:
            ensure_running(server, log)
            try:
                return httpx.get(f"{url}/healthz", timeout=5).is_success
            except httpx.TransportError:
                return False

        wait_until(is_up, "Phoenix", 180, pause=1)
        yield url


def _spans(url: str, trace: str) -> list[dict[str, Any]]:
    """The spans of a trace, as Phoenix has stored them."""
    answer = httpx.get(f"{url}/v1/projects/default/spans", params={"trace_id": trace}, timeout=30).raise_for_status()
    spans: list[dict[str, Any]] = answer.json()["data"]
    return spans


@pytest.mark.parametrize("fails", [False, True])
def test_spans_in_a_real_collector(starts: Starts, phoenix: str, fails: bool) -> None:  # noqa: FBT001
    """Phoenix has one span of the start, below the run's, and one of each phase below that; of a failed one, too."""
    trace, parent = os.urandom(16).hex(), PARENT.split("-")[2]
    starts.labels["__OTEL_TRACEPARENT"] = f"00-{trace}-{parent}-01"
    if fails:
        (starts.etl.directory / "uv.lock").unlink()
    document = starts.record({ENDPOINT: phoenix}, 73 if fails else 0)
    names = {"prefect-uv start", *(f"prefect-uv {phase}" for phase in document["phases"])}
    wait_until(lambda: len(_spans(phoenix, trace)) >= len(names), "the spans", 60)
    spans = {span["name"]: span for span in _spans(phoenix, trace)}
    assert spans.keys() == names
    root = spans.pop("prefect-uv start")
    assert (root["parent_id"], root["attributes"]["prefect.run.id"]) == (parent, document["flow_run"]["id"])
    assert {span["parent_id"] for span in spans.values()} == {root["context"]["span_id"]}
    assert {span["context"]["trace_id"] for span in (root, *spans.values())} == {trace}
    assert root["status_code"] == ("ERROR" if fails else "OK")
    assert root["status_message"] == (document["error"]["headline"] if fails else "")


def test_collector_that_takes_no_json(starts: Starts, phoenix: str) -> None:
    """If JSON is asked for, Phoenix refuses it; the log says so, and the run goes on."""
    output = starts.start({ENDPOINT: phoenix, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})
    assert f"the spans of this start were not sent: {phoenix}/v1/traces answered 415" in output
