"""The manifest: a file in each environment that says what it is made of, and for which project it was built."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.environments.key.environment_contents import Contents, joined_differences

MANIFEST = "prefect-uv.json"


@dataclass(frozen=True)
class Manifest:
    """An environment's own description.

    Attributes:
        key: the hash of the contents.
        project: the project that it was built for; others may share it.
        created: when it was built, in seconds since the epoch.
        contents: what it is made of.
    """

    key: str
    project: str
    created: float
    contents: Contents

    @classmethod
    def read(cls, environment: Path) -> Manifest | None:
        """The manifest of an environment; None if there is none, or one in another format."""
        try:
            value = json.loads((environment / MANIFEST).read_text())
            return cls(**{**value, "contents": Contents.from_json(value["contents"])})
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def write(self, environment: Path) -> None:
        """Write the manifest into an environment that is not published yet."""
        value = {**vars(self), "contents": self.contents.as_json()}
        write_file(environment / MANIFEST, json.dumps(value, indent=1))


DescribedEnvironment = tuple[Path, Manifest]


def described_environments(cache: CacheDirectory) -> Iterator[DescribedEnvironment]:
    """Every environment of this layout that has a manifest, with that manifest."""
    if cache.environments.is_dir():
        for path in sorted(cache.environments.iterdir()):
            if manifest := Manifest.read(path):
                yield path, manifest


def without_extras(purpose: str) -> str:
    """The project's name in that of an environment with extra packages (`etl + pandas`), which any other is already."""
    return purpose.partition(" + ")[0]


def nearest_environment(
    candidates: Iterable[DescribedEnvironment],
    contents: Contents,
    project: str,
    identity: Callable[[str], str] = without_extras,
) -> DescribedEnvironment | None:
    """The project's environment with the fewest differences, with which a miss is compared in the log.

    One with extra packages is the project's, too. Newer ones are preferred among equals; None if there is none.
    """
    own = (item for item in candidates if identity(item[1].project) == identity(project))
    return min(own, key=lambda item: (len(contents.differences(item[1].contents)), -item[1].created), default=None)


def choose_base(candidates: Iterable[DescribedEnvironment], contents: Contents) -> DescribedEnvironment | None:
    """The environment to build on; None if every candidate differs in more than packages, or in half of them."""
    usable = [item for item in candidates if contents.differs_only_in_packages(item[1].contents)]
    best = min(usable, key=lambda item: len(contents.changed_packages(item[1].contents)), default=None)
    return best if best and len(contents.changed_packages(best[1].contents)) * 2 < len(contents.packages) else None


def explain_miss(contents: Contents, project: str, nearest: DescribedEnvironment | None) -> str:
    """The line about why an environment has to be built: how it differs from the nearest existing one."""
    short = contents.key[:12]
    if nearest is None:
        return f"environment {short} is the first one here for {project}"
    _, manifest = nearest
    own, others = ("", "") if manifest.project == project else (f" for {project}", f" of {manifest.project}")
    changes = joined_differences(contents.differences(manifest.contents))
    return f"environment {short}{own} is new; changes from {manifest.key[:12]}{others}: {changes}"
