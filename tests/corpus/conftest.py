"""Run a project with plain uv and with the program: copies of one checkout, the same index, the same Python."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest

from images.family import ROOT
from prefect_uv.image_facts import Image, probe_image
from tests.corpus.projects import PROJECTS, Case, CorpusProject
from tests.pins import PREFECT, PREFECT_CLIENT
from tests.stack import PackageIndex
from tests.stack.environment import index_environment
from tests.stack.process import tool
from tests.suite.locks import lock_once
from tests.unit.http_server import Answer, Request, Server, running_server
from tests.unit.wheels import build_wheel

SECONDS = 120
RUN = "11111111-2222-4333-8444-555555555555"
DEPLOYMENT = "99999999-8888-4777-8666-555555555555"
MODULES = {
    "prefect/__init__.py": "def flow(function=None, **options):\n    return function or flow\n",
    "prefect/main.py": "",
    "prefect/flow_engine.py": Path(__file__).with_name("engine.py").read_text(),
}
PACKAGES = {
    ("prefect", PREFECT): MODULES,
    ("prefect_client", PREFECT_CLIENT): MODULES,
    ("trinket", "1.0"): {"trinket.py": ""},
    ("bauble", "1.0"): {"bauble.py": ""},
    ("gadget", "1.0"): {"gadget.py": ""},
}
PASSED_ON = ("SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
BUILT = re.compile(r"([\w-]+) is built and installed for this run:")
START = """
import json, sys
sys.path.insert(0, sys.argv.pop(1))
from prefect_uv.image_facts import Image
facts = Image(**json.loads(sys.argv.pop(1)))
Image.read = classmethod(lambda *_: facts)
from prefect_uv.__main__ import main
main()
"""


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        facts: what the engine printed; empty if it did not run.
        happens: what our log says about the project, or our error; empty for plain uv.
        builds: the local packages that our log says are built.
        output: everything that was printed, for a test that fails.
    """

    facts: frozenset[str]
    happens: str
    builds: tuple[str, ...]
    output: str

    @classmethod
    def of(cls, done: subprocess.CompletedProcess[str], checkout: Path) -> Self:
        """The outcome of a finished process."""
        facts = frozenset(json.loads(done.stdout)) if done.returncode == 0 else frozenset()
        lines = [line.removeprefix("prefect-uv: ") for line in done.stderr.splitlines()]
        found = [line.removeprefix("look: ") for line in lines if line.startswith(("look: ", "error["))]
        builds = tuple(BUILT.findall(done.stderr))
        return cls(facts, (found or [""])[-1].replace(str(checkout), "/code"), builds, done.stdout + done.stderr)


@dataclass(frozen=True)
class Corpus:
    """Runs the projects.

    Attributes:
        folder: an empty directory for each test.
        environ: the variables of both: index, certificates, interpreter.
        image: the facts about this machine, as if it were an image.
        index: the package index.
        server: the API.
        cache: the cache volume of all runs.
    """

    folder: Path
    environ: Mapping[str, str]
    image: Image
    index: PackageIndex
    server: Server
    cache: Path

    def checkout(self, project: CorpusProject) -> Path:
        """A copy of a project, locked; a lockfile of another tool gets the addresses and hashes of this index."""
        directory = self.folder / "code"
        shutil.copytree(PROJECTS / project.name, directory)
        (directory / ".git").mkdir()
        for path in directory.glob("pylock.*"):
            text = path.read_text().replace("{index}", self.index.url.removesuffix("/simple"))
            text = text.replace("{prefect}", PREFECT)
            for name, content in self.index.files.items():
                text = text.replace(f"{{{name}}}", hashlib.sha256(content).hexdigest())
            path.write_text(text)
        for target in project.locks:
            words = ["lock", "--script", target] if target.endswith(".py") else ["lock", "--project", target]
            if target.endswith(".toml"):
                words = ["pip", "compile", "--universal", "--output-file", target, "pyproject.toml"]
            lock_once(["uv", "--quiet", *words], directory, self.environ)
        if project.adds:
            path = directory / "pyproject.toml"
            path.write_text(path.read_text().replace("dependencies = [", f'dependencies = ["{project.adds}", '))
        return directory

    def with_uv(self, checkout: Path, project: CorpusProject, case: Case) -> Outcome:
        """Run the engine as the case says for plain uv."""
        copy, venv = self._copy(checkout, "uv"), self.folder / "uv" / "venv"
        engine = ["-m", "prefect.flow_engine", project.entrypoint]
        environ = {"UV_PROJECT_ENVIRONMENT": str(venv), "VIRTUAL_ENV": str(venv), **_modules(project)}
        match shlex.split(case.uv):
            case ["run", *_] as words:
                return self._outcome(copy, environ, ["uv", *words, "python", *engine])
            case ["sync", *_] as words:
                return self._outcome(copy, environ, ["uv", *words, "--active"], [str(venv / "bin" / "python"), *engine])
            case ["pip", *_]:
                python = str(venv / "bin" / "python")
                installs = [["uv", *shlex.split(words), "--python", python] for words in case.uv.split(" && uv ")]
                create = ["uv", "venv", "--no-project", str(venv)]
                return self._outcome(copy, environ, create, *installs, [python, *engine])
        return Outcome(frozenset(), "", (), "uv has nothing to run")

    def with_us(self, checkout: Path, project: CorpusProject, case: Case, **settings: str) -> Outcome:
        """Run the flow with the program, as a flow run of a deployment with the case's job variables and settings."""
        copy = self._copy(checkout, "us")
        deployment = {"entrypoint": project.entrypoint, "path": "."}
        self.server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body=deployment))
        serve_flow_run(self.server)
        command = [sys.executable, "-c", START, str(ROOT / "entrypoint" / "src"), json.dumps(asdict(self.image))]
        variables = {
            "PREFECT_API_URL": self.server.url,
            "PREFECT__FLOW_RUN_ID": RUN,
            "PREFECT__DEPLOYMENT_ID": DEPLOYMENT,
            "PREFECT_UV_CACHE_DIR": str(self.cache),
            "PREFECT_UV_VERBOSE": "true",
            **{f"PREFECT_UV_{name}": value for name, value in {**case.variables, **settings}.items()},
            **_modules(project),
        }
        return self._outcome(copy, variables, command)

    def _copy(self, checkout: Path, name: str) -> Path:
        copy = self.folder / name / "code"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(checkout, copy)
        return copy

    def _outcome(self, directory: Path, variables: Mapping[str, str], *commands: Sequence[str]) -> Outcome:
        """The outcome of the last of these commands, or of the first that fails."""
        for command in commands:
            done = subprocess.run(
                command,
                cwd=directory,
                env={**self.environ, **variables},
                check=False,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
            if done.returncode:
                break
        return Outcome.of(done, directory)


def _modules(project: CorpusProject) -> dict[str, str]:
    return {"CORPUS_MODULES": " ".join(project.modules)}


def serve_flow_run(server: Server) -> None:
    """Serve a flow run that is Pending until a state is set."""
    states = [{"id": RUN, "type": "PENDING", "name": "Pending"}]

    def read(_: Request) -> Answer:
        return Answer(body={"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": states[-1]})

    def set_state(request: Request) -> Answer:
        states.append({"id": str(uuid4()), **request.json["state"]})
        return Answer(201, {"status": "ACCEPT", "state": states[-1]})

    server.on(f"GET /api/flow_runs/{RUN}", read)
    server.on(f"POST /api/flow_runs/{RUN}/set_state", set_state)


@pytest.fixture(scope="package")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    """An index with a made-up Prefect and two small packages."""
    directory = tmp_path_factory.mktemp("wheels")
    with PackageIndex.start("127.0.0.1") as running:
        for (name, version), files in PACKAGES.items():
            wheel = build_wheel(directory, name, version, files, ["trinket>=2"] if name == "gadget" else [])
            running.files[wheel.name] = wheel.read_bytes()
        yield running


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    """An API, of which `serve_flow_run` sets the flow run."""
    with running_server() as running:
        running.on("POST /api/logs/", Answer(201))
        yield running


@pytest.fixture(scope="package")
def image() -> Image:
    """The facts about this machine, as if it were an image."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(tool('uv')).parent}:{os.environ['PATH']}")
        return probe_image("corpus", str(Path(sys.base_prefix) / "bin" / f"python{minor}"), PREFECT)


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the caches and the home of all runs."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def corpus(tmp_path: Path, shared: Path, index: PackageIndex, server: Server, image: Image) -> Corpus:
    """Runs of this test."""
    indexes = index_environment()
    environ = {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        **indexes,
        "UV_INDEX": " ".join(filter(None, [index.url, indexes.get("UV_INDEX", "")])),
        "UV_CACHE_DIR": str(shared / "uv"),
        "UV_PYTHON": image.python,
        "UV_SYSTEM_CERTS": "1",
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
        "HOME": str(shared),
        "PATH": f"{Path(tool('uv')).parent}:{os.environ['PATH']}",
    }
    return Corpus(tmp_path, environ, image, index, server, shared / "cache")
