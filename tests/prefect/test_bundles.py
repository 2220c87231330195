"""Flows that are submitted as bundles (`@docker`), from a container with Docker's socket, run in our image."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from docker.models.containers import Container
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.states import Cancelling

from images.family import read
from tests.pins import PREFECT
from tests.pull.s3 import s3_store
from tests.stack import WRITABLE, CacheVolume, Run, Stack
from tests.stack.environment import job_volumes
from tests.stack.process import wait_until
from tests.suite import mark

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

SOCKET = "/var/run/docker.sock"
SCRIPT = Path(__file__).with_name("submit_bundle.py")
PACKAGES = f"prefect-docker{read().pins['prefect-docker']} cowsay==6.1"
SUBMIT_SECONDS = 120
ACCESS_KEY = "AKIATESTS"
AWS = {"AWS_SECRET_ACCESS_KEY": "x" * 20, "AWS_DEFAULT_REGION": "us-east-1"}
EXECUTE = ["uv", "run", "--with", f"prefect=={PREFECT}", "--python", "3.13"]
EXECUTE += ["-m", "prefect.bundles.execute", "--key", "/stored.json"]


@dataclass(frozen=True)
class Submitter:
    """A container in which flows are submitted; its temporary directory is at the same path on the host."""

    stack: Stack
    container: Container
    folder: Path
    cache: CacheVolume

    def submit(self, action: str, /, **job_variables: object) -> UUID:
        """Submit the flow, and return the id of its run, which has begun to be started."""
        own = {"image": self.stack.image, "volumes": job_volumes(self.cache.name), **job_variables}
        before, log = self._runs(), self.folder / f"{uuid4()}.log"
        log.touch()
        command = "prefect-uv exec -- env -u UV_SYSTEM_PYTHON python submit_bundle.py"
        self.container.exec_run(
            ["sh", "-c", f"{command} {action} > {log} 2>&1; echo over >> {log}"],
            environment={"JOB_VARIABLES": json.dumps(own)},
            workdir=str(self.folder),
            detach=True,
        )

        def submitted() -> UUID | None:
            found = self._runs() - before
            assert found or not log.read_text().endswith("over\n"), log.read_text()
            return next(iter(found), None)

        return wait_until(submitted, "a flow run", SUBMIT_SECONDS)

    def _runs(self) -> set[UUID]:
        """The ids of all runs of the flow."""
        named = FlowFilter(name=FlowFilterName(any_=["bundled"]))
        return {run.id for run in self.stack.api.client.read_flow_runs(flow_filter=named)}

    def store(self, action: str) -> tuple[UUID, Path, Path]:
        """Create a run of the flow that is not submitted; return its id, its bundle and the archive of its files."""
        bundle, archive = self.folder / "stored.json", self.folder / "stored.zip"
        bundle.unlink(missing_ok=True)
        flow_run = self.submit(f"store {action}")
        wait_until(bundle.exists, "the bundle", SUBMIT_SECONDS)
        return flow_run, bundle, archive

    def run(self, action: str = "''", /, **job_variables: object) -> Run:
        """Submit the flow, and wait for the end of its run."""
        return self.stack.follow(self.submit(action, **job_variables))


@pytest.fixture(scope="module")
def submitter(stack: Stack) -> Iterator[Submitter]:
    """A submitter, with a cache volume of its own for it and for its runs."""
    with (
        TemporaryDirectory(prefix="bundles-", dir=mark.folder(), ignore_cleanup_errors=True) as name,
        CacheVolume.create(stack.containers, stack.image) as tools,
        CacheVolume.create(stack.containers, stack.image) as cache,
    ):
        folder = Path(name)
        shutil.copy(SCRIPT, folder)
        (folder / "data.txt").write_text("included")
        variables = {**stack.server.environment, "TMPDIR": name, "PREFECT_UV_EXTRA_PACKAGES": PACKAGES}
        volumes = [*job_volumes(tools.name), f"{SOCKET}:{SOCKET}", f"{name}:{name}"]
        container = stack.containers.start(
            stack.image, ["infinity"], variables, volumes, entrypoint="sleep", user="0", init=True
        )
        yield Submitter(stack, container, folder, cache)


AS_ROOT = {"container_create_kwargs": {"user": "0"}}
"""Without the tmpfs at /tmp of the stack's other runs: there, the worker mounts the bundle."""


def await_flow(stack: Stack, flow_run: UUID) -> None:
    """Wait until the flow waits."""
    wait_until(lambda: any("waiting" in log.message for log in stack.api.logs(flow_run)), "the flow", SUBMIT_SECONDS)


def test_bundle_is_run_in_an_environment_of_the_store(submitter: Submitter) -> None:
    """The flow has the submitter's packages; they are installed once, for all runs."""
    first = submitter.run(**AS_ROOT)
    assert first.state.name == "Completed", first.report()
    assert "Python 3.13" in first.messages, first.report()
    assert "(miss " in first.messages, first.report()
    second = submitter.run(**AS_ROOT)
    second.require_completed()
    assert "(hit " in second.messages, second.report()


def test_cancel_ends_the_flow(submitter: Submitter) -> None:
    """Cancel reaches the engine, which runs the flow's hook."""
    flow_run = submitter.submit("wait", **AS_ROOT)
    stack = submitter.stack
    await_flow(stack, flow_run)
    stack.api.client.set_flow_run_state(flow_run, Cancelling())
    run = stack.follow(flow_run)
    assert run.state.name == "Cancelled", run.report()
    assert run.outcome.exit_code == 0, run.report()
    assert run.outcome.output.count("hook: Cancel") == 1, run.report()


def test_crash_is_reported_with_its_reason(submitter: Submitter) -> None:
    """An engine that is gone is reported, and the hook gets the flow from the bundle."""
    run = submitter.run("crash", **AS_ROOT)
    assert run.state.name == "Crashed", run.report()
    assert "exit code 7" in str(run.state.message), run.report()
    assert run.outcome.output.count("hook: Crashed") == 1, run.report()


def test_evicted_run_is_rescheduled(submitter: Submitter) -> None:
    """After a SIGTERM, the run is scheduled again, and the next container completes it from the same bundle."""
    flow_run, bundle, _ = submitter.store("wait")
    stack = submitter.stack

    def start() -> Container:
        return stack.start_directly(
            flow_run,
            {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"},
            cache=submitter.cache.name,
            command=EXECUTE,
            volumes=[f"{bundle}:/stored.json:ro"],
        )

    first = start()
    await_flow(stack, flow_run)
    first.stop(timeout=30)
    evicted = stack.finish(flow_run, first)
    assert (evicted.state.name, evicted.outcome.exit_code) == ("AwaitingRetry", 0), evicted.report()
    second = stack.finish(flow_run, start())
    assert (second.state.name, second.outcome.exit_code) == ("Completed", 0), second.report()


@pytest.mark.full  # only our own path has promises: test_bundle_is_run_in_an_environment_of_the_store
def test_command_instead_of_the_entrypoint(submitter: Submitter) -> None:
    """Cloud Run and Vertex AI replace it: then uv runs Prefect's own module, as in any other image."""
    flow_run, bundle, _ = submitter.store("''")
    stack = submitter.stack
    container = stack.start_directly(
        flow_run,
        cache=submitter.cache.name,
        entrypoint=EXECUTE,
        command=(),
        volumes=[f"{bundle}:/stored.json:ro"],
        **WRITABLE,
    )
    run = stack.finish(flow_run, container)
    assert (run.state.name, run.outcome.exit_code) == ("Completed", 0), run.report()
    assert "Python 3.13" in run.messages, run.report()


def test_failed_flow_is_failed(submitter: Submitter) -> None:
    """A failure is the flow's own, not one of the infrastructure."""
    run = submitter.run("fail", **AS_ROOT)
    assert run.state.name == "Failed", run.report()
    assert run.outcome.exit_code == 0, run.report()


def test_bundle_of_another_user_is_explained(submitter: Submitter) -> None:
    """The image's user cannot read what root has submitted: the state says how to change that."""
    run = submitter.run(container_create_kwargs={"cap_drop": ["ALL"]})
    assert run.state.name == "Crashed", run.report()
    assert "error[bundle-invalid]" in str(run.state.message), run.report()
    assert "container_create_kwargs" in str(run.state.message), run.report()


def test_bundle_from_a_storage(submitter: Submitter) -> None:
    """The step's own module downloads the bundle and its files from S3; then the run is like any other."""
    flow_run, path, archive = submitter.store("read")
    stack, bundle = submitter.stack, path.read_bytes()
    objects = {"key-1": bundle, json.loads(bundle)["files_key"]: archive.read_bytes()}
    requires = f"prefect-aws,prefect=={PREFECT}"
    command = ["uv", "run", "--with", requires, "--python", "3.13", "-m", "prefect_aws.bundles.execute"]
    with s3_store("flows", ACCESS_KEY, objects) as endpoint:
        container = stack.start_directly(
            flow_run,
            {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": ACCESS_KEY, **AWS},
            cache=submitter.cache.name,
            command=[*command, "--bucket", "flows", "--key", "key-1"],
            network_mode="host",
            **WRITABLE,
        )
        run = stack.finish(flow_run, container)
    assert run.state.name == "Completed", run.report()
    assert "included" in run.messages, run.report()
