"""A Kubernetes work pool with its worker, as the page makes it, whose template tests replace."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.objects import FlowRun
from prefect_kubernetes.worker import KubernetesWorker

from images import apt
from images.family import ROOT
from prefect_uv.options.option_parser import parse_options
from prefect_uv.options.template_options import VOLUME
from prefect_uv.templates.kubernetes_template import adapt_kubernetes
from tests.commands import replaced
from tests.kubernetes.cluster import FINAL, Cluster, Document
from tests.pages import run_by
from tests.stack import GitServer, PrefectServer, image_name
from tests.stack.api import Api
from tests.stack.process import background, ensure_running, tool, wait_until
from tests.stack.server import plain_environment

POOL = "kubernetes"
PAGE = "docs/how-to/kubernetes-work-pool.md"
IMAGE = "registry.example.com/prefect-uv:py313"
"""The page's image, which the cluster's node has."""
START_SECONDS = 120
RUN_SECONDS = 400
SERVER_PAUSE = 1.0
"""A question to the server costs it 10 ms of processor time."""
STARTED = "started!"
FAST = {"PREFECT_WORKER_QUERY_SECONDS": "3", "PREFECT_WORKER_HEARTBEAT_SECONDS": "5"}


@dataclass(frozen=True)
class PodRun:
    """A flow run that has ended, and what its pods were like.

    Attributes:
        pods: the last state of each pod, the oldest first, with what its containers have printed.
    """

    flow_run: FlowRun
    messages: list[str]
    pods: list[Document]

    @property
    def state(self) -> str:
        """The name of the final state."""
        return self.flow_run.state_name or ""

    @property
    def report(self) -> str:
        """Everything about the run, for the message of a failing test."""
        lines = [f"{self.state}: {self.flow_run.state and self.flow_run.state.message}", *self.messages]
        for pod in self.pods:
            lines += [f"--- {pod['metadata']['name']}: {json.dumps(pod['status'])}", *pod["logs"].values()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Pool:
    """The pool, the cluster in which its runs are pods, and the server."""

    cluster: Cluster
    server: PrefectServer
    api: Api
    git: GitServer

    @property
    def claim(self) -> Path:
        """The directory of the template's claim."""
        return self.cluster.claim(VOLUME)

    @contextmanager
    def follow_page(self, folder: Path, test: str) -> Iterator[None]:
        """Run the commands of the page that this test runs; the last of them is the worker."""
        if not shutil.which("kubectl"):
            apt.install("kubernetes-client", "the tests follow a page that uses kubectl")
        (folder / "deploy").symlink_to(ROOT / "deploy")
        (commands,) = run_by(test, PAGE)
        script = replaced(commands, {" prefect-uv:py313": f" {image_name('py313')}"})
        log = folder / "commands.log"
        environment = {**plain_environment(folder), **self.server.environment, **FAST}
        path = f"{Path(tool('prefect')).parent}:{environment['PATH']}"
        environment |= {"KUBECONFIG": str(self.cluster.kubeconfig), "PATH": path}
        command = ["env", f"--chdir={folder}", "bash", "-euo", "pipefail", "-c", script]
        with background(command, log, environment) as process:

            def started() -> bool:
                ensure_running(process, log)
                return STARTED in log.read_text(errors="replace")

            wait_until(started, "the page's worker", START_SECONDS)
            yield

    def use(self, *words: str) -> None:
        """Give the pool the template that `prefect-uv template kubernetes` prints with these words.

        The worker reads the template before each of its heartbeats: at the second one, it has the new one.
        """
        options = parse_options(["template", "kubernetes", "--image", IMAGE, *words]).template
        document = copy.deepcopy(KubernetesWorker.get_default_base_job_template())
        assert options
        adapt_kubernetes(document, options)
        self.api.client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=document))
        for _ in range(2):
            last = self._heartbeats()
            wait_until(lambda: self._heartbeats() != last, "a heartbeat", START_SECONDS, SERVER_PAUSE)  # noqa: B023

    def deploy(self, name: str, entrypoint: str, pull_steps: Sequence[dict[str, Any]], **variables: Any) -> UUID:
        """Create a deployment on the pool; `variables` are job variables."""
        return self.api.deploy(name, entrypoint, pull_steps, pool=POOL, job_variables=variables)

    def finish(self, flow_run: UUID, timeout: float = RUN_SECONDS) -> PodRun:
        """Wait until a flow run is in a final state and all of its pods have ended."""

        def finished() -> bool:
            if any(pod["status"]["phase"] not in FINAL for pod in self.cluster.pods(flow_run)):
                return False
            state = self.api.client.read_flow_run(flow_run).state
            return state is not None and state.is_final()

        wait_until(finished, f"the end of {flow_run} and its pods", timeout, SERVER_PAUSE)
        messages = [log.message for log in self.api.logs(flow_run)]
        return PodRun(self.api.client.read_flow_run(flow_run), messages, self.cluster.history(flow_run))

    def _heartbeats(self) -> list[str]:
        """The last heartbeat of each of the pool's workers."""
        workers = self.api.client.request(
            "POST", "/work_pools/{work_pool_name}/workers/filter", path_params={"work_pool_name": POOL}, json={}
        )
        return [worker["last_heartbeat_time"] for worker in workers.json()]
