"""The entrypoint on this machine: its environment, projects with each Prefect version, and runs of their flows."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.objects import State
from prefect.states import Cancelling

from tests.pins import PREFECT
from tests.stack.api import Api
from tests.stack.environment import index_environment
from tests.stack.process import tool, wait_until
from tests.stack.server import PrefectServer, plain_environment

ROOT = Path(__file__).parent.parent.parent
PROJECT = ROOT / "tests" / "projects" / "engines"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PINS = {"3.0.11": "pydantic<2.10"}
COMPILE = "import sys, prefect.main, prefect.flow_engine; print(sys.prefix)"
START_SECONDS = 120
END_SECONDS = 60


@dataclass(frozen=True)
class Host:
    """Where the entrypoint is installed, and the server it uses."""

    home: Path
    server: PrefectServer
    api: Api = field(compare=False)

    @classmethod
    def make(cls, home: Path, server: PrefectServer, api: Api) -> Host:
        """Install the entrypoint's requirements next to its sources, and write this machine's image facts."""
        host = cls(home, server, api)
        host.uv("venv", "--python", PYTHON, home / "entrypoint")
        requirements = ROOT / "entrypoint" / "requirements.txt"
        host.uv("pip", "install", "--python", host.python, "--require-hashes", "-r", requirements)
        packages = next((home / "entrypoint" / "lib").glob("python*/site-packages"))
        (packages / "prefect_uv.pth").write_text(str(ROOT / "entrypoint" / "src"))
        minor = f"{sys.base_prefix}/bin/python{PYTHON}"
        facts = ["--name", "host", "--python", minor, "--prefect", PREFECT]
        subprocess.run(
            [str(host.python), "-I", "-m", "prefect_uv.image_facts", *facts],
            env=host.environment,
            check=True,
            timeout=60,
        )
        return host

    @property
    def python(self) -> Path:
        """The entrypoint's interpreter."""
        return self.home / "entrypoint" / "bin" / "python"

    @property
    def cache(self) -> Path:
        """The directory that takes the place of the cache volume."""
        return self.home / "cache"

    @property
    def environment(self) -> dict[str, str]:
        """A container's environment variables, as far as they apply to this machine."""
        certificates = {"UV_SYSTEM_CERTS": "1"} if os.environ.get("SSL_CERT_FILE") else {}
        path = f"{Path(tool('uv')).parent}:{os.environ['PATH']}"
        own = {"PATH": path, "UV_CACHE_DIR": str(self.home / "uv"), "PREFECT_UV_CACHE_DIR": str(self.cache)}
        inherited = plain_environment(self.home)
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        return {**inherited, **index_environment(), **certificates, **own, **self.server.environment}

    def uv(self, *arguments: str | Path, directory: Path | None = None) -> None:
        """Run a uv command that must succeed."""
        command = [tool("uv"), "--quiet", *map(str, arguments)]
        subprocess.run(command, env=self.environment, cwd=directory, check=True, timeout=300)

    def project(self, prefect: str) -> Path:
        """A locked project with this Prefect version, with its environment and import bundle already made."""
        return self._prepared(prefect)[0]

    def built(self, prefect: str) -> Path:
        """The environment of the project with this Prefect version."""
        return self._prepared(prefect)[1]

    @functools.cache  # noqa: B019 (one host a session)
    def _prepared(self, prefect: str) -> tuple[Path, Path]:
        """The project and its environment."""
        directory = self.home / f"project-{prefect}-{uuid4().hex[:6]}"
        shutil.copytree(PROJECT, directory)
        requirements = [f"prefect=={prefect}", PINS.get(prefect, "fastapi<0.151")]
        (directory / "pyproject.toml").write_text(
            f'[project]\nname = "engines"\nversion = "0"\nrequires-python = "=={PYTHON}.*"\n'
            f"dependencies = {requirements}\n"
        )
        self.uv("lock", directory=directory)
        program = [str(self.python), "-I", "-m", "prefect_uv"]
        for command in (["sync"], ["exec", "--", "python", "-c", COMPILE]):
            done = subprocess.run(
                [*program, *command],
                env=self.environment,
                cwd=directory,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                timeout=300,
            )
        return directory, Path(done.stdout.strip())

    def start(  # noqa: PLR0913, PLR0917 (everything that may differ between containers)
        self,
        prefect: str,
        entrypoint: str,
        parameters: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        pull_steps: list[dict[str, Any]] | None = None,
        command: list[str] | None = None,
        *,
        submitted: bool = True,
    ) -> Run:
        """Start a flow run as a worker's container would, or with another command, or without a worker (Scheduled)."""
        folder = self.home / f"run-{uuid4().hex[:8]}"
        (folder / "tmp").mkdir(parents=True)
        step = {"prefect.deployments.steps.set_working_directory": {"directory": str(self.project(prefect))}}
        deployment = self.api.deploy(f"{prefect}-{uuid4().hex[:6]}", entrypoint, pull_steps or [step])
        self._note_start_of(prefect, deployment)
        flow_run = self.api.create_run(deployment, {"folder": str(folder), **(parameters or {})})
        if submitted:
            self.api.submit(flow_run)
        return Run(self, flow_run, folder, self.container(flow_run, folder, environment or {}, command))

    def container(
        self, flow_run: UUID, folder: Path, environment: Mapping[str, str], command: list[str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start what a container for this flow run would start; its output goes to the folder."""
        variables = {**self.api.worker_variables(flow_run), "TMPDIR": str(folder / "tmp"), **environment}
        with (folder / "output").open("ab") as output:
            return subprocess.Popen(
                command or [str(self.python), "-I", "-m", "prefect_uv"],
                env={**self.environment, **variables},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _note_start_of(self, prefect: str, deployment: UUID) -> None:
        """Let a new deployment know how the last one with this Prefect started its engine: the new engine starts early.

        The first run with each Prefect starts its engine without that.
        """
        last, notes = self.home / f"deployment-{prefect}", self.cache / "index" / "v1"
        if last.exists() and (noted := notes / f"deployment-{last.read_text()}").exists():
            shutil.copy(noted, notes / f"deployment-{deployment}")
        last.write_text(str(deployment))


@dataclass
class Run:
    """A flow run under our supervisor."""

    host: Host
    flow_run: UUID
    folder: Path
    process: subprocess.Popen[bytes]
    acted: float = field(default_factory=time.monotonic)

    @property
    def notes(self) -> list[str]:
        """The lines that the flow and its hooks wrote."""
        notes = self.folder / "notes"
        return notes.read_text().split("\n")[:-1] if notes.exists() else []

    @property
    def sigterms(self) -> int:
        """How many SIGTERMs the engine's Python received."""
        signals = self.folder / "signals"
        return signals.read_bytes().count(signal.SIGTERM) if signals.exists() else 0

    @property
    def output(self) -> str:
        """Everything that the process printed."""
        return (self.folder / "output").read_text(errors="replace")

    @property
    def engine(self) -> int:
        """The engine's process ID."""
        return int(next(line for line in self.notes if line.startswith("engine")).split()[1])

    @property
    def loader(self) -> str:
        """The class of the loader from which the engine has Prefect."""
        return next(line for line in self.notes if line.startswith("engine")).split()[2]

    @property
    def state(self) -> State[Any]:
        """The flow run as the API reports it."""
        state = self.host.api.client.read_flow_run(self.flow_run).state
        if state is None:
            raise RuntimeError(f"{self.flow_run} has no state")
        return state

    @property
    def pss(self) -> float:
        """Memory of the container's first process (PSS), in megabytes."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0]) / 1024

    def children(self, program: str) -> list[bytes]:
        """The environment variables of each process of this run that runs the given program."""
        return [_environ(pid) for pid in self._processes() if _program(pid) == program]

    def wait_for_flow(self) -> Run:
        """Wait until the flow's own code runs."""
        self.wait_for("the flow runs", lambda: any(line.startswith("engine") for line in self.notes))
        return self

    def wait_for(self, awaited: str, poll: Any) -> None:
        """Wait until `poll` returns something true; fail if the run's process ends first."""

        def holds() -> bool:
            if poll():
                return True
            if self.process.poll() is not None:
                raise RuntimeError(f"{awaited}: the process ended first\n{self.output}")
            return False

        wait_until(holds, f"{awaited}\n{self.output}", START_SECONDS)

    def cancel(self) -> None:
        """Press Cancel."""
        self.acted = time.monotonic()
        self.host.api.client.set_flow_run_state(self.flow_run, Cancelling())

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the container's first process, as `docker stop` or a user would."""
        self.acted = time.monotonic()
        self.process.send_signal(signum)

    def kill(self, pid: int) -> None:
        """Kill a process, as the kernel does when memory runs out."""
        self.acted = time.monotonic()
        os.kill(pid, signal.SIGKILL)

    def end(self, timeout: float = END_SECONDS) -> tuple[int, float]:
        """Wait for the end; return the exit code and the seconds since the last action on the run."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise TimeoutError(f"still running after {timeout} s\n{self.output}") from None
        return code, time.monotonic() - self.acted

    def left_behind(self) -> list[str]:
        """Processes, temporary files and leases that are left, except uv's one lock file per project."""
        leftovers = [f"process {pid}" for pid in self._processes()]
        temporary = [path.name for path in (self.folder / "tmp").iterdir()]
        leftovers += [f"temporary {name}" for name in temporary if not re.fullmatch(r"uv-\w+\.lock", name)]
        for lease in self.host.cache.glob("envs/*/*/.inuse"):
            with lease.open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    leftovers.append(f"lease {lease}")
        return leftovers

    def _processes(self) -> list[int]:
        assignment = f"PREFECT__FLOW_RUN_ID={self.flow_run}".encode()
        return [pid for pid in _pids() if pid != self.process.pid and assignment in _environ(pid)]


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def parent(pid: int) -> int:
    """The process ID of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
