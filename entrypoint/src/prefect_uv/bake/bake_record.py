"""What was baked into the image, in files next to the environments: the selections and the image's version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prefect_uv.environments.key.fingerprint import digest_fields
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import LockedProject, Project, PylockProject
from prefect_uv.project.files.toml_tables import read_toml, table_at
from prefect_uv.project.selection import Selection
from prefect_uv.settings import Settings

SELECTIONS = Path("selections", "v1")
VERSION_FILE = "version"


@dataclass(frozen=True)
class BakedSelection:
    """A selection of a project's dependencies that was baked.

    Attributes:
        root: the name of the project that the lockfile belongs to; empty if it has none.
        selection: the groups, extras and package.
        key: the key of the environment.
    """

    root: str
    selection: Selection
    key: str

    @classmethod
    def of(cls, project: Project, key: str) -> BakedSelection:
        """The project's selection, baked as the environment with this key."""
        return cls(root_name(project), project.selection, key)

    def __str__(self) -> str:
        """For the log, such as `1f3ab2c3d4e5 for etl (groups etl)`."""
        selection = f" ({self.selection})" if str(self.selection) else ""
        return f"{self.key[:12]} for {self.root or 'a workspace'}{selection}"

    def write(self, baked_dir: Path) -> None:
        """Record it, in place of an earlier record of the same selection."""
        directory = baked_dir / SELECTIONS
        directory.mkdir(parents=True, exist_ok=True)
        name = digest_fields([self.root, *self.selection.options])
        (directory / f"{name}.json").write_text(json.dumps(asdict(self)))


def baked_selections(baked_dir: Path) -> Iterator[BakedSelection]:
    """Every selection that was baked into this directory."""
    directory = baked_dir / SELECTIONS
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        record = json.loads(path.read_text())
        selection: dict[str, Any] = record["selection"]
        lists = {name: tuple(selection[name]) for name in ("groups", "only_groups", "extras")}
        yield BakedSelection(record["root"], Selection(**lists, package=selection["package"]), record["key"])


def root_name(project: Project) -> str:
    """The name of the project that the lockfile belongs to, whichever member was found; empty if it has none."""
    path = project.root / "pyproject.toml"
    if not path.is_file():
        return project.name
    return str(table_at(read_toml(path), "project").get("name", ""))


def with_baked_selection(settings: Settings, project: Project, log: RunLog) -> Settings:
    """The settings with the selection that was baked, if the deployment has none and exactly one was baked.

    A flow in one member of a workspace never gets a selection of another member.
    """
    selects = isinstance(project, PylockProject) or (isinstance(project, LockedProject) and not project.script)
    if Selection.of(settings) != Selection() or not selects:
        return settings
    baked = list(baked_selections(settings.baked_dir))
    if len(baked) != 1 or baked[0].root != root_name(project) or baked[0].selection == Selection():
        return settings
    selection = baked[0].selection
    if selection.package and project.directory != project.root and selection.package != project.name:
        return settings
    log.info(f"no groups or extras are set: using those that the image was baked with ({selection})")
    return replace(settings, **vars(selection))


def image_version(baked_dir: Path) -> str:
    """The version that the image was baked with; empty if it was given none."""
    path = baked_dir / VERSION_FILE
    return path.read_text() if path.is_file() else ""


def log_image_version(baked_dir: Path, log: RunLog) -> None:
    """Log the version of the image, if it was given one."""
    if version := image_version(baked_dir):
        log.info(f"image version {version}")
