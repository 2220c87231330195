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
from prefect.exceptions import PrefectHTTPStatusError
from prefect_kubernetes.worker import KubernetesWorker

from images import apt
from images.family import ROOT
from prefect_uv.options.option_parser import parse_options
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
RUN_SECONDS = 180
FAST = {"PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_WORKER_HEARTBEAT_SECONDS": "2"}


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

            def online() -> bool:
                ensure_running(process, log)
                return bool(self._workers())

            wait_until(online, "the page's worker", START_SECONDS)
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
            last = self._workers()
            wait_until(lambda: self._workers() != last, "a heartbeat of the worker", START_SECONDS)  # noqa: B023

    def deploy(self, name: str, entrypoint: str, pull_steps: Sequence[dict[str, Any]], **variables: Any) -> UUID:
        """Create a deployment on the pool; `variables` are job variables."""
        return self.api.deploy(name, entrypoint, pull_steps, pool=POOL, job_variables=variables)

    def finish(self, flow_run: UUID, timeout: float = RUN_SECONDS) -> PodRun:
        """Wait until a flow run is in a final state and all of its pods have ended."""
        self.api.wait(flow_run, timeout)

        def ended() -> bool:
            return all(pod["status"]["phase"] in FINAL for pod in self.cluster.pods(flow_run))

        wait_until(ended, f"the end of all pods of {flow_run}", timeout)
        messages = [log.message for log in self.api.logs(flow_run)]
        return PodRun(self.api.client.read_flow_run(flow_run), messages, self.cluster.history(flow_run))

    def _workers(self) -> list[str]:
        """The last heartbeats of the pool's workers; empty as long as there is no pool."""
        try:
            workers = self.api.client.request(
                "POST", "/work_pools/{work_pool_name}/workers/filter", path_params={"work_pool_name": POOL}, json={}
            )
        except PrefectHTTPStatusError:
            return []
        return [worker["last_heartbeat_time"] for worker in workers.json() if worker["status"] == "ONLINE"]
