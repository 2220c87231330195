"""The look: which project the flow belongs to, by the files of the pulled code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prefect_uv.errors import FlowFileMissingError, LockfileMissingError, ProjectMissingError
from prefect_uv.project.kinds import Locked
from prefect_uv.project.packages import import_path, local_directories, local_packages
from prefect_uv.project.sources import chosen_roots
from prefect_uv.project.toml import at, read
from prefect_uv.selection import Selection
from prefect_uv.settings import Settings


def look(working_directory: Path, entrypoint: str | None, settings: Settings) -> Locked:
    """Find the project of a flow.

    Args:
        working_directory: where the pull steps have led to.
        entrypoint: the deployment's entrypoint, `path/to/file.py:function` or `module.path:function`.
        settings: the deployment's choices.

    Raises:
        FlowFileMissingError, ProjectMissingError, LockfileMissingError: before anything was built.
    """
    if entrypoint:
        _check_flow_file(working_directory, entrypoint)
    places = list(_upwards(working_directory))
    directory = next((place for place in places if (place / "pyproject.toml").is_file()), None)
    if directory is None:
        raise ProjectMissingError(
            f"No pyproject.toml in {working_directory}.",
            f"Looked in {', '.join(str(place) for place in places)}.",
            "Run `uv init --bare`, `uv add prefect`, commit pyproject.toml and uv.lock, and push.",
        )
    root = next((place for place in _upwards(directory) if (place / "uv.lock").is_file()), None)
    if root is None:
        raise LockfileMissingError(
            f"No uv.lock in {directory}.",
            f"{directory / 'pyproject.toml'} is present, {directory / 'uv.lock'} is not.",
            "Run `uv lock`, commit uv.lock, and push.",
        )
    return _read(directory, root, working_directory, settings)


def _check_flow_file(working_directory: Path, entrypoint: str) -> None:
    path = entrypoint.rpartition(":")[0]
    if path.endswith(".py") and not (working_directory / path).is_file():
        raise FlowFileMissingError(
            f"The deployment's entrypoint {entrypoint} is not in {working_directory}.",
            f"There is no file {working_directory / path}.",
            "Push the file, or correct the deployment's entrypoint: it is relative to the pulled directory.",
        )


def _upwards(start: Path) -> Iterator[Path]:
    """The directory and those above it, as far as the checkout reaches (without a checkout: itself only)."""
    chain = [start.resolve(), *start.resolve().parents]
    top = next((number for number, place in enumerate(chain) if (place / ".git").exists()), 0)
    yield from chain[: top + 1]


def _read(directory: Path, root: Path, base: Path, settings: Settings) -> Locked:
    lock = (root / "uv.lock").read_bytes()
    text = lock.decode(errors="replace")
    others = [place for place in local_directories(text, root) if place.resolve() != directory.resolve()]
    files = dict.fromkeys([root / "uv.lock", root / "pyproject.toml", root / "uv.toml", directory / "uv.toml"])
    files |= dict.fromkeys(place / "pyproject.toml" for place in [directory, *others])
    pin = next(
        (place / ".python-version" for place in _upwards(directory) if (place / ".python-version").is_file()), None
    )
    request = pin.read_text().strip() if pin else ""
    inputs = [(str(path), path.read_bytes()) for path in files if path.is_file()]
    pinned = next((line for line in request.splitlines() if line and not line.startswith("#")), "")
    selection = Selection.of(settings)
    packages = local_packages(text, root, directory, selection)
    return Locked(
        name=str(at(read(directory / "pyproject.toml"), "project").get("name", directory.name)),
        shape="project",
        directory=directory,
        root=root,
        inputs=tuple((name.removeprefix(str(root)), content) for name, content in inputs),
        source_roots=import_path(packages, directory, chosen_roots(base, settings.source_root)),
        packages=packages,
        python_request=settings.python or pinned,
        selection=selection,
    )
