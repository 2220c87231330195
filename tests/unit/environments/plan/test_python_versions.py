"""Which Pythons a request accepts, compared with a real uv and interpreters of made-up versions."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_uv.environments.plan.python_versions import accepts

REQUESTS = (
    "3",
    "3.12",
    "3.14",
    "3.14.0",
    "3.14.1",
    "313",
    "==3.14",
    "==3.14.0",
    "==3.14.*",
    "===3.14",
    "===3.14.0",
    "!=3.14",
    "!=3.14.*",
    ">=3.13",
    ">=3.14",
    ">=3.14.0rc1",
    ">=3.14.1",
    ">3.13",
    ">3.14",
    "<3.14",
    "<3.14.1",
    "<=3.14",
    "~=3.13",
    "~=3.14",
    "~=3.14.0",
    "~=3.13.1",
    ">=3.11,<3.14",
    ">=3.11, <3.15",
    " >= 3.14 , != 3.14.0 ",
)
NOT_NUMBERS = (
    "3.14rc1",
    "3.14.0rc1",
    "3.14t",
    "pypy3.14",
    "cpython3.14",
    "python3.14",
    "any",
    "~=3",
    "3.14.*",
    ">=3.14.*",
)
SCRIPT = """#!/bin/sh
{python} "$@" | {sed} 's/{own}/{version}/g; s/"python_version": "{minor}"/"python_version": "{other}"/'
"""


class Fake:
    """The only interpreter that uv finds; it reports a made-up version."""

    def __init__(self, directory: Path, version: str) -> None:
        self.directory = directory
        self.python = directory / "python3"
        own = platform.python_version()
        minors = (".".join(number.split(".")[:2]) for number in (own, version))
        words = dict(zip(("minor", "other"), minors, strict=True))
        sed = shutil.which("sed")
        self.python.write_text(SCRIPT.format(python=sys.executable, sed=sed, own=own, version=version, **words))
        self.python.chmod(0o755)

    def is_found(self, request: str) -> bool:
        """Whether uv accepts the interpreter for a request."""
        return self._uv("python", "find", "--no-project", "--no-python-downloads", request)

    def is_allowed(self, requires_python: str) -> bool:
        """Whether uv accepts the interpreter for a project with this `requires-python`."""
        project = f'[project]\nname = "etl"\nversion = "1"\nrequires-python = "{requires_python}"\n'
        (self.directory / "pyproject.toml").write_text(project)
        return self._uv("lock", "--dry-run", "--python", str(self.python))

    def _uv(self, *words: str) -> bool:
        directory = str(self.directory)
        environ = {
            "PATH": directory,
            "HOME": directory,
            "UV_CACHE_DIR": f"{directory}/cache",
            "UV_PYTHON_PREFERENCE": "only-system",
        }
        uv = str(shutil.which("uv"))
        finished = subprocess.run(
            [uv, *words], cwd=directory, env=environ, check=False, capture_output=True, text=True, timeout=20
        )
        return finished.returncode == 0


@pytest.mark.uv
@pytest.mark.parametrize("version", ["3.13.5", "3.14.0", "3.14.0rc1"])
def test_uv_agrees(tmp_path: Path, version: str) -> None:
    """What we accept without asking uv, uv accepts; what we refuse as a `requires-python`, uv refuses."""
    fake = Fake(tmp_path, version)
    answers = {request: accepts(request, version) for request in REQUESTS}
    yes = [request for request, answer in answers.items() if answer is True]
    no = [request for request, answer in answers.items() if answer is False and not request[:1].isdigit()]
    assert [request for request in yes if not fake.is_found(request)] == []
    assert [request for request in no if fake.is_allowed(request)] == []


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (">=3.14", None),
        ("~=3.14", None),
        ("3.14.0", None),
        ("==3.14", None),
        (">=3.13", True),
        (">=3.14.0rc1", True),
        ("3.14", True),
        ("==3.14.*", True),
        ("<=3.14", True),
        ("<3.14", False),
        (">=3.14.1", False),
    ],
)
def test_pre_release(request_: str, *, answer: bool | None) -> None:
    """3.14.0rc1 precedes 3.14.0 (PEP 440). Where uv may judge differently, uv decides, and we refuse nothing."""
    assert accepts(request_, "3.14.0rc1") is answer


@pytest.mark.parametrize("request_", NOT_NUMBERS)
def test_requests_that_only_uv_understands(request_: str) -> None:
    """A request that is not a version specifier is left to uv."""
    assert accepts(request_, "3.14.0") is None


def test_version_of_a_development_build() -> None:
    """A Python that was built from a git checkout appends a plus to its version."""
    assert accepts(">=3.14", "3.14.2+") is True
