"""What stands in an environment about itself: what it was built from, by whom and when."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.key.environment_contents import Contents, shortened

MANIFEST = "prefect-uv.json"
RUN_CACHE = ".uv"


@dataclass(frozen=True)
class Manifest:
    """An environment's own description.

    Attributes:
        key: its name.
        project: the project that it was built for; others may share it.
        created: when, in seconds since the epoch.
        contents: what it is made of.
    """

    key: str
    project: str
    created: float
    contents: Contents

    @classmethod
    def read(cls, environment: Path) -> Manifest | None:
        """The manifest, or nothing when there is none that we understand."""
        try:
            value = json.loads((environment / MANIFEST).read_text())
            return cls(**{**value, "contents": Contents.from_json(value["contents"])})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, environment: Path) -> None:
        """Into an environment that nobody uses yet."""
        value = {**vars(self), "contents": self.contents.as_json()}
        (environment / MANIFEST).write_text(json.dumps(value, indent=1))


DescribedEnvironment = tuple[Path, Manifest]


def described_environments(cache: CacheDirectory) -> Iterator[DescribedEnvironment]:
    """Every environment of this layout that describes itself."""
    if cache.environments.is_dir():
        for path in sorted(cache.environments.iterdir()):
            if manifest := Manifest.read(path):
                yield path, manifest


def nearest(known: Iterable[DescribedEnvironment], contents: Contents, project: str) -> DescribedEnvironment | None:
    """The environment with the fewest differences, the newest of these, of the same project where there is one."""
    every = list(known)
    own = [item for item in every if item[1].project == project] or every
    return min(own, key=lambda item: (len(contents.differences(item[1].contents)), -item[1].created), default=None)


def base_for(known: Iterable[DescribedEnvironment], contents: Contents) -> DescribedEnvironment | None:
    """The environment to build upon: only packages differ, and less than half of them."""
    fit = [item for item in known if contents.stands_on_the_same(item[1].contents)]
    best = min(fit, key=lambda item: len(contents.changed(item[1].contents)), default=None)
    return best if best and len(contents.changed(best[1].contents)) * 2 < len(contents.packages) else None


def explain_miss(contents: Contents, project: str, near: DescribedEnvironment | None) -> str:
    """Why this environment is not there yet."""
    short = contents.key[:12]
    if near is None:
        return f"environment {short} is the first one here"
    _, manifest = near
    whose, of = ("", "") if manifest.project == project else (f" for {project}", f" of {manifest.project}")
    changes = shortened(contents.differences(manifest.contents))
    return f"environment {short}{whose} is new; changes from {manifest.key[:12]}{of}: {changes}"
