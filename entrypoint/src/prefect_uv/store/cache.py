"""`prefect-uv cache`: what the cache volume holds, and keeping it in order by hand."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from prefect_uv.errors import UsageError
from prefect_uv.image import Image
from prefect_uv.session import Session
from prefect_uv.store import index
from prefect_uv.store.gc import collect, prune_uv
from prefect_uv.store.manifest import Manifest
from prefect_uv.store.usage import environments, gigabytes, measure, mirrors
from prefect_uv.store.verify import misfits
from prefect_uv.volume.layout import Area
from prefect_uv.volume.lease import idle, last_use

LEAST_HOURS = 2
ROW = "{:14}{:>10}{:>12}  {:7}{:10}{}"
USAGE = "prefect-uv cache [list | prune [--all] | verify]"


def cache(session: Session) -> int:
    """List the environments, remove what is not needed, or check every file.

    Returns:
        1 when `verify` found damage, else 0.
    """
    area = Area(session.settings.cache_dir, session.settings.cache_dir / f"uv-{Image.read().uv_minor}")
    if not area.environments.is_dir():
        sys.stdout.write(f"nothing is in {area.root} yet\n")
        return 0
    match list(session.arguments):
        case [] | ["list"]:
            return _list(area)
        case ["prune"]:
            return _prune(area, session, everything=False)
        case ["prune", "--all"]:
            return _prune(area, session, everything=True)
        case ["verify"]:
            return _verify(area)
    raise UsageError(f"`prefect-uv cache {' '.join(session.arguments)}` is not a command.", hint=USAGE)


def _list(area: Area) -> int:
    usage = measure(area)
    known = _projects(area)
    _row("KEY", "SIZE", "LAST USE", "IN USE", "PYTHON", "FOR")
    for path in sorted(environments(area), key=last_use, reverse=True):
        python, purpose = _described(path, known[path.name])
        _row(path.name[:12], gigabytes(usage.size(path)), _ago(last_use(path)), _in_use(path), python, *purpose)
    if kept := mirrors(area):
        sys.stdout.write(f"{gigabytes(sum(map(usage.size, kept)))} in {len(kept)} mirror(s) of repositories\n")
    sys.stdout.write(f"{gigabytes(usage.total)} in {area.root}, what hard links share counted once\n")
    return 0


def _prune(area: Area, session: Session, *, everything: bool) -> int:
    freed = collect(area, session.settings, session.log, everything=everything)
    prune_uv(area, session.settings.environ)
    sys.stdout.write(f"freed {gigabytes(freed)}\n")
    return 0


def _verify(area: Area) -> int:
    """Damaged environments leave their names, so that the next run builds them anew."""
    broken = 0
    for path in sorted(environments(area)):
        manifest = Manifest.read(path)
        if not manifest:
            continue
        found = misfits(path, manifest.contents, hashes=True)
        verdict = f"DAMAGED: {', '.join(found)}" if found else "whole"
        sys.stdout.write(f"{path.name[:12]}  {verdict}\n")
        if found:
            broken += 1
            area.discard(path)
    return 1 if broken else 0


def _described(path: Path, projects: set[str]) -> tuple[str, list[str]]:
    """The version of Python, and what an environment is for."""
    manifest = Manifest.read(path)
    return (manifest.contents.python_version, sorted(projects | {manifest.project})) if manifest else ("?", [])


def _projects(area: Area) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    with suppress(FileNotFoundError):
        for known in filter(None, map(index.read, area.index.iterdir())):
            found[known.key].add(known.project)
    return found


def _in_use(path: Path) -> str:
    with idle(path) as free:
        return "-" if free else "yes"


def _ago(then: float) -> str:
    minutes = int(max(time.time() - then, 0) // 60)
    hours = minutes // 60
    return f"{minutes} min ago" if hours < LEAST_HOURS else f"{hours} h ago"


def _row(*values: str) -> None:
    sys.stdout.write(ROW.format(*values[:5], ", ".join(values[5:])).rstrip() + "\n")
