"""The record of whole starts: the real program, a scripted API, which is the collector too, and an engine that ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from images.family import ROOT
from prefect_uv.api.flow_run import AlreadyOver
from prefect_uv.errors import LockfileMissingError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.signals import StateCheckNeeded, Terminated
from prefect_uv.record.network_counters import received_bytes, received_since
from prefect_uv.record.start_record import describe_failure
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from tests.unit.etl import Etl
from tests.unit.http_server import Answer, Request, Server
from tests.unit.program.test_warm_imports import DEPLOYMENT, ENGINE, PROGRAM, RUN
from tests.unit.record.collector import attributes_of, spans_of
from tests.unit.wheels import build_wheel

SHA = "5b2f" * 10
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACES = "/api/v1/traces"
DIGEST = "sha256:" + "1234abcd" * 8


class Starts:
    """Starts the program for a flow run, as often as a test needs."""

    def __init__(self, etl: Etl, server: Server, image: Image, folder: Path) -> None:
        self.etl = etl
        self.server = server
        self.labels: dict[str, str] = {}
        self.labels_of_engine: dict[str, str] = {}
        self._image = image
        self._folder = folder
        server.on(f"GET /api/flow_runs/{RUN}", self._describe_run)

    def _describe_run(self, _: Request) -> Answer:
        ran = (self._folder / "ran").exists()
        body = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "run_count": 0}
        labels = {**self.labels, **(self.labels_of_engine if ran else {})}
        return Answer(body={**body, "state": {"type": "COMPLETED" if ran else "PENDING"}, "labels": labels})

    def start(self, variables: Mapping[str, str], code: int = 0, *command: str) -> str:
        """Start it, with a command if one is given; return what it wrote to stderr."""
        (self._folder / "ran").unlink(missing_ok=True)
        own = {
            "PREFECT_API_URL": self.server.url,
            "PREFECT_UV_CACHE_DIR": str(self._folder / "cache"),
            "PYTHONPATH": str(ROOT / "entrypoint" / "src"),
            "PREFECT__FLOW_RUN_ID": RUN,
            "ENGINE_RAN": str(self._folder / "ran"),
        }
        words = [sys.executable, "-c", PROGRAM, *command, json.dumps(asdict(self._image))]
        environ = {**os.environ, **own, **variables}
        finished = subprocess.run(
            words, cwd=self.etl.directory, env=environ, check=False, capture_output=True, text=True, timeout=60
        )
        assert finished.returncode == code, finished.stderr
        return finished.stderr

    def record(self, variables: Mapping[str, str], code: int = 0, *command: str) -> dict[str, Any]:
        """Start it, and return the only record that it wrote to stderr."""
        lines = self.start({"PREFECT_UV_RECORD": "stderr", **variables}, code, *command).splitlines()
        (line,) = (line for line in lines if line.startswith("{"))
        document: dict[str, Any] = json.loads(line)
        return document


@pytest.fixture
def starts(etl: Etl, server: Server, image: Image, tmp_path: Path) -> Starts:
    """Starts of a locked project, in a clone at a commit."""
    build_wheel(etl.wheels, "prefect", "3.8.8", ENGINE)
    (etl.directory / "flow.py").write_text("")
    (etl.directory / ".git" / "HEAD").write_text(f"{SHA}\n")
    (etl.directory / ".git" / "config").write_text('[remote "origin"]\n\turl = https://me:hunter22@git.example/etl\n')
    etl.lock()
    job_variables = {"image": f"registry.example/flows@{DIGEST}"}
    deployment = {"id": DEPLOYMENT, "name": "daily", "entrypoint": "flow.py:main", "path": "."}
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={**deployment, "job_variables": job_variables}))
    server.on("POST /api/logs/", Answer(201))
    server.on("POST /api/artifacts/", Answer(201, {}))
    server.on(f"POST {TRACES}", Answer(200, {}))
    server.on(f"POST /api/flow_runs/{RUN}/set_state", Answer(201, {"status": "ACCEPT", "state": {"type": "CRASHED"}}))
    return Starts(etl, server, image, tmp_path)


def test_record_of_a_miss_and_of_a_hit(starts: Starts, image: Image) -> None:
    """The record has every fact, says why an environment was built, and that nothing has changed when it is found."""
    cold = starts.record({})
    assert cold["flow_run"] == {"id": RUN, "name": "brave-fox", "earlier_attempts": 0}
    assert cold["deployment"] == {"id": DEPLOYMENT, "name": "daily", "entrypoint": "flow.py:main"}
    assert cold["code"] == [{"remote": "https://****@git.example/etl", "commit": SHA}]
    assert (cold["outcome"], cold["command"], cold["error"]) == ("started", "run", None)
    assert (cold["project"]["name"], cold["project"]["directory"]) == ("etl", str(starts.etl.directory))
    key = cold["environment"]["key"]
    expected = {"hit": False, "place": "volume", "packages": 1, "prefect": "3.8.8", "python": image.python_version}
    assert cold["environment"] | expected == cold["environment"]
    assert cold["environment"]["why"] == f"environment {key[:12]} is the first one here for etl"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", cold["environment"]["packages_digest"])
    assert (cold["image"]["uv"], cold["image"]["digest"]) == (image.uv, DIGEST)
    assert [*cold["phases"]] == ["read", "ask", "pull", "look", "sync", "code", "launch"]
    assert cold["total"] == pytest.approx(sum(cold["phases"].values()), abs=1)
    assert cold["received"] is None or cold["received"] >= 0
    page = (ROOT / "docs" / "reference" / "record.md").read_text()
    assert [name for name in _fields(cold) if f"`{name}`" not in page] == []
    warm = starts.record({})
    assert warm["environment"] | {"hit": True} == warm["environment"]
    assert warm["environment"]["why"] == "what it is made from is known here, and has not changed"
    assert {name: warm["environment"][name] for name in ("key", "packages_digest")} == {
        name: cold["environment"][name] for name in ("key", "packages_digest")
    }


def _fields(document: dict[str, Any]) -> Iterator[str]:
    """The names of all fields, with those of the fields that they are in; phases differ from start to start."""
    for name, value in document.items():
        items = value[0] if isinstance(value, list) else value
        if isinstance(items, dict) and name != "phases":
            yield from (f"{name}.{field}" for field in items)
        else:
            yield name


def test_record_says_what_changed(starts: Starts) -> None:
    """After a change of the lock, the reason is what the log says about it."""
    starts.start({})
    build_wheel(starts.etl.wheels, "helper", "1.0", {"helper.py": ""})
    starts.etl.write("prefect", "helper")
    starts.etl.lock()
    why = starts.record({})["environment"]["why"]
    assert re.fullmatch(r"environment \w{12} is new; changes from \w{12}: \+ helper 1\.0", why)


def test_record_in_files_and_on_the_page(starts: Starts, tmp_path: Path) -> None:
    """The record is written to a file and into a directory, and the run gets an artifact with a bar for each phase."""
    starts.start({"PREFECT_UV_RECORD": f"{tmp_path}/record.json,artifact, {tmp_path}/all/"})
    document = json.loads((tmp_path / "record.json").read_text())
    assert document == json.loads((tmp_path / "all" / f"{RUN}.json").read_text())
    (request,) = starts.server.to("POST", "/api/artifacts/")
    artifact = request.json
    assert (artifact["key"], artifact["type"], artifact["flow_run_id"]) == ("prefect-uv-start", "markdown", RUN)
    assert f"| Why | {document['environment']['why']} |" in artifact["data"]
    assert re.search(r"^sync +\d+ ms  █{40}$", artifact["data"], re.MULTILINE)


def test_nothing_is_recorded_without_a_setting(starts: Starts) -> None:
    """By default, nobody gets a record, and nothing of it is imported."""
    output = starts.start({"PYTHONPROFILEIMPORTTIME": "1"})
    assert "prefect_uv.session" in output
    assert "prefect_uv.record" not in output
    assert "{" not in output
    assert starts.server.to("POST", "/api/artifacts/") == []
    assert starts.server.to("POST", TRACES) == []


def test_record_of_a_failed_start(starts: Starts) -> None:
    """A start that fails has a record with the error, on the last line of stderr, on the run's page and as spans."""
    (starts.etl.directory / "uv.lock").unlink()
    variables = {"PREFECT_UV_RECORD": "artifact,stderr", "OTEL_EXPORTER_OTLP_ENDPOINT": starts.server.url}
    lines = starts.start(variables, 73).splitlines()
    document = json.loads(lines[-1])
    assert (document["outcome"], document["environment"]) == ("failed", None)
    assert (document["error"]["slug"], document["error"]["exit_code"]) == ("lockfile-missing", 73)
    assert document["error"]["headline"] in "\n".join(lines)
    assert [*document["phases"]] == ["read", "ask", "pull", "look"]
    (request,) = starts.server.to("POST", "/api/artifacts/")
    assert "| Error | error[lockfile-missing]: " in request.json["data"]
    spans = spans_of(starts.server.to("POST", TRACES)[0])
    assert [span.name for span in spans if span.status.code == span.status.STATUS_CODE_ERROR] == [
        "prefect-uv start",
        "prefect-uv look",
    ]


@pytest.mark.parametrize("labelled", ["at first", "by the engine", "never"])
def test_spans_are_in_the_trace_of_the_run(starts: Starts, labelled: str) -> None:
    """Spans are below what the run's label names, whenever it was written; without any, they have their own trace."""
    if labelled == "at first":
        starts.labels["__OTEL_TRACEPARENT"] = PARENT
    elif labelled == "by the engine":
        starts.labels_of_engine["__OTEL_TRACEPARENT"] = PARENT
    now = time.time_ns()
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hush-hush", "OTEL_SERVICE_NAME": "orders"}
    starts.start({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{starts.server.url}/", **headers})
    (request,) = starts.server.to("POST", TRACES)
    assert request.headers["authorization"] == "Bearer hush-hush"
    root, *phases = spans_of(request)
    expected = "" if labelled == "never" else PARENT.split("-")[2]
    assert root.parent_span_id.hex() == expected
    assert {span.trace_id for span in phases} == {root.trace_id}
    assert (root.trace_id.hex() == PARENT.split("-")[1]) == (labelled != "never")
    assert {span.parent_span_id for span in phases} == {root.span_id}
    assert (root.name, attributes_of(root)["prefect.run.id"]) == ("prefect-uv start", RUN)
    assert [span.name for span in phases][:2] == ["prefect-uv read", "prefect-uv ask"]
    assert (
        now < root.start_time_unix_nano <= phases[-1].start_time_unix_nano <= root.end_time_unix_nano < time.time_ns()
    )
    assert attributes_of(root)["prefect_uv.environment.hit"] is False


def test_trace_that_is_not_sampled_gets_no_spans(starts: Starts) -> None:
    """If the run's trace is not recorded, neither are our spans."""
    starts.labels["__OTEL_TRACEPARENT"] = f"{PARENT.removesuffix('01')}00"
    starts.start({"OTEL_EXPORTER_OTLP_ENDPOINT": starts.server.url})
    assert starts.server.to("POST", TRACES) == []


def test_endpoints_that_fail_cost_one_line_each(starts: Starts, tmp_path: Path) -> None:
    """If nothing takes the record, the run goes on as ever, and the log has one line for each place."""
    starts.server.on("POST /api/artifacts/", Answer(422, {"detail": "no"}))
    (tmp_path / "file").write_text("")
    places = f"artifact,{tmp_path}/file/record.json"
    output = starts.start({"PREFECT_UV_RECORD": places, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    assert re.findall(r"warning: the (.+ this start .+?):? (?:\[|The|http)", output) == [
        "record of this start could not be written",
        "record of this start is not on the run's page",
        "spans of this start were not sent",
    ]


def test_spans_that_cannot_be_encoded_cost_one_line(starts: Starts) -> None:
    """If the container's variable asks for Protocol Buffers in a form that is not there, the run goes on as ever."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": starts.server.url, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "cpp"}
    output = starts.start(variables)
    assert output.count("warning: the spans of this start were not sent: ") == 1
    assert "cannot import name" in output
    assert starts.server.to("POST", TRACES) == []


def test_record_of_a_start_that_becomes_the_engine(starts: Starts) -> None:
    """With PREFECT_UV_SUPERVISE=false, the record is sent before the engine takes the place of the process."""
    output = starts.start({"PREFECT_UV_SUPERVISE": "false", "PREFECT_UV_RECORD": "stderr,artifact"})
    assert json.loads(output.splitlines()[-1])["outcome"] == "started"
    assert len(starts.server.to("POST", "/api/artifacts/")) == 1


def test_record_of_an_init_container(starts: Starts) -> None:
    """`prefect-uv sync` for a flow run has a record, too: it is the one that builds."""
    document = starts.record({}, 0, "sync")
    assert (document["command"], document["environment"]["hit"]) == ("sync", False)


def test_engine_that_cannot_be_started(starts: Starts) -> None:
    """If the engine cannot be started, the only record is that of the failure."""
    starts.start({})
    document = starts.record({"PATH": "/usr/bin:/bin"}, 78)
    assert (document["outcome"], document["error"]["slug"]) == ("failed", "launch-failed")
    assert document["environment"]["hit"] is True


@pytest.mark.usefixtures("this_image")
@pytest.mark.parametrize(
    ("reason", "outcome", "slug", "headline"),
    [
        (Terminated(signal.SIGTERM), "stopped", None, "SIGTERM arrived before the flow started."),
        (AlreadyOver("it is over"), "not needed", None, "it is over"),
        (StateCheckNeeded(), "not needed", None, ""),
        (LockfileMissingError("No uv.lock."), "failed", "lockfile-missing", "No uv.lock."),
        (KeyError("x"), "failed", "internal", "prefect-uv itself failed."),
        (FileNotFoundError("No usable temporary directory found"), "failed", "temporary-directory-missing", None),
    ],
)
def test_record_of_what_ends_a_start(
    log: RunLog, reason: BaseException, outcome: str, slug: str | None, headline: str | None
) -> None:
    """Whatever ends a start has its outcome, and an error of the catalogue its slug and headline."""
    document = describe_failure(Session(Settings(), log), "run", {}, reason, 70)
    assert (document["outcome"], document["error"]["slug"], document["received"]) == (outcome, slug, None)
    assert headline is None or document["error"]["headline"] == headline


def test_received_bytes(tmp_path: Path) -> None:
    """What the interfaces have received that were there all the time, but not what the container sends to itself."""
    head = "Inter-|   Receive\n face |bytes    packets\n"
    counters = tmp_path / "dev"
    counters.write_text(f"{head}    lo: 100 1\n  eth0: 5000 7\n veth1: 900 1\n")
    before = received_bytes(counters)
    counters.write_text(f"{head}    lo: 900 9\n  eth0: 25000 9\n veth2: 777 1\n")
    assert received_since(before, counters) == 20_000
    assert received_since(before, tmp_path / "nowhere") is None


def test_policy_in_the_record(starts: Starts) -> None:
    """What a policy says about the environment is in the record, of a start that it warns of and of one that it stops.

    A warm start that reads a verdict logs one line more.
    """
    rules = {"PREFECT_UV_POLICY_LICENSES": "MIT"}
    wrong = {"rule": "license", "package": "prefect", "version": "3.8.8", "text": "names no license"}
    assert starts.record({})["policy"] is None
    for _ in range(2):
        stderr = starts.start({"PREFECT_UV_RECORD": "stderr", "PREFECT_UV_POLICY": "warn", **rules})
        (line,) = (line for line in stderr.splitlines() if line.startswith("{"))
        policy = json.loads(line)["policy"]
        assert (policy["mode"], policy["audited"], policy["violations"]) == ("warn", None, [wrong])
        assert stderr.count("policy: prefect 3.8.8 names no license\n") == 1
    stopped = starts.record({"PREFECT_UV_POLICY": "refuse", **rules}, 76)
    assert stopped["error"]["slug"] == "policy-violated"
    assert "prefect 3.8.8 names no license" in stopped["error"]["headline"]
    assert stopped["policy"] == {**policy, "mode": "refuse"}
    passing = starts.record({"PREFECT_UV_POLICY": "refuse", **rules, "PREFECT_UV_POLICY_EXEMPT": "prefect"})
    assert passing["policy"]["violations"] == []
