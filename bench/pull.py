"""What the pull phase costs beyond `git clone` itself: `python -m bench.pull [repetitions]`.

One repository over HTTP on this machine; the two are measured in turn, each into a fresh directory. `git clone` is
the plain command of a user, and the phase is what a container does: templates, checks, clone, log lines. The warm
phase is measured with the mirror beside it.
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull import pull
from prefect_uv.settings import Settings
from tests.stack.git import GitServer

REPETITIONS = 30
FILES = 200
BUDGET_MS = 60


def main(repetitions: int) -> None:
    """Print the medians and whether the budget holds."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        root = Path(folder)
        for number in range(FILES):
            path = root / "project" / f"package{number % 10}" / f"module{number}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"VALUE = {number}\n" * 50)
        with GitServer.start("127.0.0.1", root) as server:
            url = server.create("project", root / "project", lock=False).url
            report(root, url, repetitions)


def report(root: Path, url: str, repetitions: int) -> None:
    """Measure everything in turn, so that a busy machine slows all of it alike."""
    (root / "cache").mkdir()
    ways: dict[str, Callable[[Path], None]] = {
        "git clone --depth 1": lambda place: clone(place, url),
        "pull phase, no mirror": lambda place: phase(place, url, root / "no-cache"),
        "pull phase, warm mirror": lambda place: phase(place, url, root / "cache"),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repetitions + 1):
        for position, (name, way) in enumerate(ways.items()):
            place = root / f"work-{number}-{position}"
            place.mkdir()
            start = time.perf_counter()
            way(place)
            times[name].append((time.perf_counter() - start) * 1000)
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    floor = medians["git clone --depth 1"]
    for name, median in medians.items():
        sys.stdout.write(f"{name:28}{median:8.1f} ms{median - floor:+9.1f} ms\n")
    held = "within" if medians["pull phase, no mirror"] - floor < BUDGET_MS else "beyond"
    sys.stdout.write(f"overhead {held} the budget of {BUDGET_MS} ms, medians of {repetitions}\n")


def clone(place: Path, url: str) -> None:
    """The plain command."""
    command = ["git", "clone", "--quiet", "--depth", "1", url, str(place / "project")]
    subprocess.run(command, check=True, timeout=60)


def phase(place: Path, url: str, cache: Path) -> None:
    """The phase, as the entrypoint performs it."""
    os.chdir(place)
    settings = Settings.from_environ({**os.environ, "PREFECT_UV_CACHE_DIR": str(cache)})
    step = {"prefect.deployments.steps.git_clone": {"repository": url}}
    with contextlib.redirect_stderr(io.StringIO()):
        pull({"pull_steps": [step]}, settings, RunLog(Mask()), None)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS)
