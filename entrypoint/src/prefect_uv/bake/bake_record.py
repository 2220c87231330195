"""What `prefect-uv bake` was asked for, kept beside what it made: the image's own selections and its version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prefect_uv.environments.key.fingerprint import digest_fields
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import LockedProject, Project
from prefect_uv.project.files.toml_tables import read_toml, table_at
from prefect_uv.project.selection import Selection
from prefect_uv.settings import Settings

SELECTIONS = Path("selections", "v1")
VERSION = "version"


@dataclass(frozen=True)
class Baking:
    """One selection that was baked.

    Attributes:
        root: the name of the project with the lock.
        selection: what was selected of it.
        key: the environment.
    """

    root: str
    selection: Selection
    key: str

    @classmethod
    def of(cls, project: Project, key: str) -> Baking:
        """The selection of a project."""
        return cls(root_name(project), project.selection, key)

    def __str__(self) -> str:
        """For people, as `1f3ab2c3d4e5 for etl (groups etl)`."""
        chosen = f" ({self.selection})" if str(self.selection) else ""
        return f"{self.key[:12]} for {self.root or 'a workspace'}{chosen}"

    def write(self, directory: Path) -> None:
        """Keep it; the same selection that was baked before is replaced."""
        place = directory / SELECTIONS
        place.mkdir(parents=True, exist_ok=True)
        name = digest_fields([self.root, *self.selection.options])
        (place / f"{name}.json").write_text(json.dumps(asdict(self)))


def selections(directory: Path) -> Iterator[Baking]:
    """Everything that was baked into this directory."""
    place = directory / SELECTIONS
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        value = json.loads(path.read_text())
        chosen: dict[str, Any] = value["selection"]
        lists = {name: tuple(chosen[name]) for name in ("groups", "only_groups", "extras")}
        yield Baking(value["root"], Selection(**lists, package=chosen["package"]), value["key"])


def root_name(project: Project) -> str:
    """The name of the project that the lock lies in, whichever member was found; empty where it has none."""
    path = project.root / "pyproject.toml"
    if not path.is_file():
        return project.name
    return str(table_at(read_toml(path), "project").get("name", ""))


def with_baked_selection(settings: Settings, project: Project, log: RunLog) -> Settings:
    """The settings, with the one selection that was baked of this project when the deployment has none.

    A flow that lies in one member of a workspace is not given the dependencies of another one.
    """
    if Selection.of(settings) != Selection() or not isinstance(project, LockedProject) or project.script:
        return settings
    baked = list(selections(settings.baked_dir))
    if len(baked) != 1 or baked[0].root != root_name(project) or baked[0].selection == Selection():
        return settings
    chosen = baked[0].selection
    if chosen.package and project.directory != project.root and chosen.package != project.name:
        return settings
    log.info(f"no groups or extras are set: the ones that the image was baked with are taken ({chosen})")
    return replace(settings, **vars(chosen))


def version(directory: Path) -> str:
    """The version that the image was baked with; empty when it was given none."""
    path = directory / VERSION
    return path.read_text() if path.is_file() else ""


def announce(settings: Settings, log: RunLog) -> None:
    """Say which version the image is."""
    if found := version(settings.baked_dir):
        log.info(f"version {found} of the image")
