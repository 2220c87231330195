"""Every project and script of this repository that uv can lock, with made-up packages from a local index."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pins import PREFECT, PREFECT_CLIENT
from tests.unit.http_server import Answer, Server
from tests.unit.wheels import build_wheel

REPOSITORY = Path(__file__).parents[2]
FOLDERS = ("tests/projects/*", "examples/*", "bench/project")
BLOCK = "# /// script\n"
REFUSED = {
    "tests/projects/future-python": "no interpreter is new enough",
    "tests/projects/package-flit": "its version takes a build backend, which the index of these tests does not have",
    "tests/projects/package-pdm": "the same",
    "tests/projects/package-pdm/pdm-src": "the same",
    "tests/projects/package-poetry": "the same",
    "tests/projects/required-version": "it requires another uv",
    "tests/projects/script-broken/flows.py": "its block is not TOML",
    "tests/projects/script-twice/flows.py": "it has two blocks",
}
PACKAGES = {
    "astral": "3.2",
    "bauble": "1.0",
    "cowsay": "6.1",
    "hatchling": "1.27",
    "humanize": "4.11.0",
    "inflection": "0.5.1",
    "mako": "1.3",
    "prefect": PREFECT,
    "prefect_client": PREFECT_CLIENT,
    "pytest": "8.4",
    "roman": "5.0",
    "ruff": "0.13",
    "tabulate": "0.9.0",
    "textdistance": "4.6.3",
    "trinket": "1.0",
    "xmltodict": "0.14.2",
}
BACKEND = """
from pathlib import Path

def prepare_metadata_for_build_editable(directory, settings=None):
    info = Path(directory, "counted-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.2\\nName: counted\\nVersion: 1.0\\nDynamic: Version\\n")
    return info.name

def build_editable(*_):
    raise NotImplementedError

build_wheel = build_sdist = build_editable
prepare_metadata_for_build_wheel = prepare_metadata_for_build_editable
"""


@dataclass(frozen=True)
class Target:
    """A project or script to lock.

    Attributes:
        folder: the folder of the repository to copy.
        path: a directory with a pyproject.toml, or a script, relative to the folder.
    """

    folder: Path
    path: Path

    def __str__(self) -> str:
        """A name for test ids."""
        return str((self.folder / self.path).relative_to(REPOSITORY))

    @property
    def is_script(self) -> bool:
        """Whether it is a script (PEP 723)."""
        return self.path.suffix == ".py"


def targets() -> Iterator[Target]:
    """Yield projects, workspaces, workspace members and scripts."""
    for folder in (folder for pattern in FOLDERS for folder in sorted(REPOSITORY.glob(pattern)) if folder.is_dir()):
        for file in sorted([*folder.rglob("pyproject.toml"), *folder.rglob("*.py")]):
            if file.suffix == ".py" and BLOCK in file.read_text():
                yield Target(folder, file.relative_to(folder))
            elif file.suffix == ".toml" and _is_project(tomllib.loads(file.read_text())):
                yield Target(folder, file.parent.relative_to(folder))


def _is_project(document: dict[str, Any]) -> bool:
    return "project" in document or "workspace" in document.get("tool", {}).get("uv", {})


def publish(index: Server, directory: Path) -> str:
    """Serve the made-up packages and return the index's address."""
    for name, version in PACKAGES.items():
        files = {"hatchling/build.py": BACKEND} if name == "hatchling" else {f"{name}.py": ""}
        wheel = build_wheel(directory, name, version, files)
        serve_file(index, wheel)
        link = f"<a href='/files/{wheel.name}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}'>{wheel.name}</a>"
        page = Answer(body=link.encode(), headers={"Content-Type": "text/html"})
        index.on(f"GET /simple/{name.replace('_', '-')}/", page)
    return f"{index.url.removesuffix('/api')}/simple"


def serve_file(index: Server, file: Path) -> str:
    """Serve a file and return its address."""
    path = f"/files/{file.name}"
    for method in ("GET", "HEAD"):
        index.on(f"{method} {path}", Answer(body=file.read_bytes()))
    return f"{index.url.removesuffix('/api')}{path}"


@dataclass(frozen=True)
class LockedCopy:
    """A locked copy of a project or a script.

    Attributes:
        path: the project's directory, or the script.
        cache: uv's cache directory.
    """

    path: Path
    cache: Path

    @classmethod
    def of(cls, target: Target, directory: Path, index: str, cache: Path) -> LockedCopy:
        """Copy and lock a target.

        Raises:
            subprocess.CalledProcessError: uv refuses to lock it.
        """
        code = directory / "code"
        shutil.copytree(target.folder, code)
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        for file in code.rglob("pyproject.toml"):
            text = file.read_text().replace("http://index.invalid/simple", index)
            file.write_text(text.replace('"==3.11.*"', f'"=={minor}.*"'))
        shared = directory / "shared" / "pyproject.toml"  # outside the checkout, for one project
        shared.parent.mkdir()
        shared.write_text('[project]\nname = "shared"\nversion = "1.0"\n')
        copy = cls(code / target.path, cache)
        copy.uv("lock", "--default-index", index)
        return copy

    @property
    def directory(self) -> Path:
        """The directory of the project or the script."""
        return self.path.parent if self.is_script else self.path

    @property
    def is_script(self) -> bool:
        """Whether it is a script."""
        return self.path.is_file()

    @property
    def lock(self) -> Path:
        """The lockfile, which is in the workspace root for a member."""
        if self.is_script:
            return self.path.with_name(f"{self.path.name}.lock")
        return next(file for folder in (self.path, *self.path.parents) if (file := folder / "uv.lock").is_file())

    def uv(self, command: str, *options: str) -> str:
        """Run uv on the project or script and return what it prints."""
        target = ("--script", str(self.path)) if self.is_script else ("--project", str(self.path))
        words = ["uv", *command.split(), "--quiet", "--python", sys.executable, "--cache-dir", str(self.cache), *target]
        finished = subprocess.run(
            [*words, *options], cwd=self.directory, check=True, capture_output=True, text=True, timeout=60
        )
        return finished.stdout

    def metadata(self) -> Any:
        """uv's report of the whole lock. This is a preview feature, and the option silences uv's warning about it.

        uv 0.13.8: https://docs.astral.sh/uv/concepts/preview/#using-preview-features
        """
        return json.loads(self.uv("workspace metadata", "--frozen", "--preview-features", "workspace-metadata"))
