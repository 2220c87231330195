"""Only a miss imports the libraries that the entrypoint depends on; a warm start imports none of them (ADR 19).

Each test starts the real program twice: the first start builds the environment, the second one finds it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from images.family import ROOT
from prefect_uv.image_facts import Image
from tests.unit.environments.plan.test_pylock_source import HEAD, pylock_entry
from tests.unit.etl import WHEEL, Etl, only_wheels
from tests.unit.http_server import Answer, Request, Server
from tests.unit.wheels import build_wheel

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
DEPLOYMENT = "11111111-2222-4333-8444-555555555555"
ENGINE = {
    "prefect/__init__.py": "",
    "prefect/flow_engine.py": "import os; open(os.environ['ENGINE_RAN'], 'w').close()\n",
}
PROGRAM = """
import json, sys
from prefect_uv.image_facts import Image
facts = Image(**json.loads(sys.argv.pop()))
Image.read = classmethod(lambda *_: facts)
from prefect_uv.__main__ import main
main()
"""
IMPORTED = re.compile(r"^import time:.*\| +(\w+)", re.MULTILINE)
"""https://docs.python.org/3/using/cmdline.html#cmdoption-X"""
ONLY_FOR_WORDS_AND_MISTAKES = {"argparse", "difflib"}
"""Modules of the standard library that a start needs only if it was given options or a misspelled variable."""
WARM = r"""prefect-uv: flow run brave-fox: flow\.py:main in /\S+
prefect-uv: look: .+
(?:prefect-uv: .*extra packages.*
)?prefect-uv: ready in \d+ ms: read \d+, .+ sync \d+ \(hit \w{12}\), code \d+, launch \d+
"""
"""The three lines that a warm start logs, with one more for extra packages."""
IMPORT_NAMES = {"opentelemetry-proto": {"opentelemetry", "google"}}
"""Those of a distribution with another name than its package; `google` is protobuf, on which it depends."""
KINDS = ("lock", "pylock", "requirements", "script", "extra packages", "another Python is asked for")


def libraries() -> set[str]:
    """The import names of the entrypoint's dependencies, and of what they depend on."""
    document = tomllib.loads((ROOT / "entrypoint" / "pyproject.toml").read_text())
    names = {requirement.partition(">")[0] for requirement in document["project"]["dependencies"]}
    return {name.replace("-", "_") for name in names - IMPORT_NAMES.keys()}.union(*IMPORT_NAMES.values())


@dataclass(frozen=True)
class Starts:
    """Starts the program for a flow run, as often as a test needs.

    Attributes:
        etl: the project.
        server: the Prefect API.
        image: the image facts that the program reads.
        variables: the container's environment variables.
    """

    etl: Etl
    server: Server
    image: Image
    variables: Mapping[str, str]

    def imported(self) -> tuple[str, set[str]]:
        """Start the program, and return its log and the top-level packages that it imported."""
        folder = self.etl.directory.parent
        ran = folder / "ran"
        ran.unlink(missing_ok=True)

        def describe_run(_: Request) -> Answer:
            state = "COMPLETED" if ran.exists() else "PENDING"
            body = {"id": RUN, "name": "brave-fox", "deployment_id": DEPLOYMENT, "state": {"type": state}}
            return Answer(body=body)

        self.server.on(f"GET /api/flow_runs/{RUN}", describe_run)
        environ = {**os.environ, **self.variables, "PREFECT__FLOW_RUN_ID": RUN, "ENGINE_RAN": str(ran)}
        words = [sys.executable, "-X", "importtime", "-c", PROGRAM, "run", json.dumps(asdict(self.image))]
        finished = subprocess.run(
            words, cwd=self.etl.directory, env=environ, check=False, capture_output=True, text=True, timeout=60
        )
        assert finished.returncode == 0, finished.stderr
        assert ran.exists()
        return finished.stderr, set(IMPORTED.findall(finished.stderr))


@pytest.fixture(params=KINDS)
def starts(request: pytest.FixtureRequest, etl: Etl, server: Server, image: Image, tmp_path: Path) -> Starts:
    """Starts for each kind of project."""
    build_wheel(etl.wheels, "prefect", "3.8.8", ENGINE)
    flow = etl.directory / "flow.py"
    flow.write_text("")
    more = {"UV_CONFIG_FILE": only_wheels(etl)} if request.param in {"requirements", "script"} else {}
    if request.param == "pylock":
        (etl.directory / "uv.lock").unlink()
        (etl.directory / "pylock.toml").write_text(HEAD + pylock_entry(etl.wheels / WHEEL))
    elif request.param == "requirements":
        (etl.directory / "pyproject.toml").unlink()
        (etl.directory / "requirements.txt").write_text("prefect==3.8.8\n")
    elif request.param == "script":
        flow.write_text('# /// script\n# requires-python = ">=3.11"\n# dependencies = ["prefect==3.8.8"]\n# ///\n')
    else:
        etl.lock()
    if request.param == "extra packages":
        more["PREFECT_UV_EXTRA_PACKAGES"] = "helper==1.0"
    if request.param == "another Python is asked for":
        (etl.directory / ".python-version").write_text(f">={image.python_version}\n")
    server.on(f"GET /api/deployments/{DEPLOYMENT}", Answer(body={"entrypoint": "flow.py:main", "path": "."}))
    server.on("POST /api/logs/", Answer(201))
    own = {
        "PREFECT_API_URL": server.url,
        "PREFECT_UV_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT / "entrypoint" / "src"),
    }
    return Starts(etl, server, image, {**own, **more})


def test_warm_start_imports_no_library(starts: Starts) -> None:
    """A miss imports the libraries; a warm start does not, or a module that it needs imports one at the top.

    What was run from where, what was found, and how long it took are all that it logs.
    """
    _, cold = starts.imported()
    log, warm = starts.imported()
    assert re.fullmatch(WARM, "".join(line for line in log.splitlines(keepends=True) if line.startswith("prefect-uv")))
    assert "packaging" in cold & libraries()
    assert warm & (libraries() | ONLY_FOR_WORDS_AND_MISTAKES) == set()


@pytest.mark.parametrize("starts", ["lock"], indirect=True)
def test_policy_imports_no_library(starts: Starts) -> None:
    """With a policy, a warm start logs the same three lines and imports nothing of the standard library besides."""
    rules = {"PREFECT_UV_POLICY": "refuse", "PREFECT_UV_POLICY_INDEXES": starts.etl.wheels.as_uri()}
    starts.imported()
    _, without = starts.imported()
    strict = replace(starts, variables={**starts.variables, **rules})
    strict.imported()
    log, warm = strict.imported()
    assert re.fullmatch(WARM, "".join(line for line in log.splitlines(keepends=True) if line.startswith("prefect-uv")))
    assert warm - without == set()


@pytest.mark.parametrize("starts", ["lock"], indirect=True)
def test_spans_import_their_library_after_the_launch(starts: Starts) -> None:
    """A warm start that sends spans imports Protocol Buffers for them, but only once the engine has been started."""
    starts.server.on("POST /api/v1/traces", Answer(200, {}))
    traced = replace(starts, variables={**starts.variables, "OTEL_EXPORTER_OTLP_ENDPOINT": starts.server.url})
    traced.imported()
    log, warm = traced.imported()
    assert warm & libraries() == {"opentelemetry", "google"}
    before, _, _ = log.partition("prefect-uv: ready in")
    assert set(IMPORTED.findall(before)) & libraries() == set()
    assert len(starts.server.to("POST", "/api/v1/traces")) == 2
