"""What the pull phase costs in addition to `git clone`: `python -m bench.pull [repetitions]`.

The same repository is cloned over HTTP on this machine, each time into a new directory: by `git clone`, as users do it,
and by the phase as a container performs it, with its templates, checks and log lines. The ways of pulling take turns.
With a warm mirror, the phase takes the repository from the cache volume.
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
GIT_CLONE, WITHOUT_MIRROR, WARM_MIRROR = "git clone --depth 1", "pull phase, no mirror", "pull phase, warm mirror"


def main(repetitions: int) -> None:
    """Serve a repository, measure, and print the medians and whether the budget holds."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        root = Path(folder)
        for number in range(FILES):
            path = root / "project" / f"package{number % 10}" / f"module{number}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"VALUE = {number}\n" * 50)
        with GitServer.start("127.0.0.1", root) as server:
            url = server.create("project", root / "project", lock=False).url
            compare(root, url, repetitions)


def compare(root: Path, url: str, repetitions: int) -> None:
    """Measure all ways of pulling and print their medians; they take turns, after a warm-up of each."""
    (root / "cache").mkdir()
    ways: dict[str, Callable[[Path], None]] = {
        GIT_CLONE: lambda directory: clone(directory, url),
        WITHOUT_MIRROR: lambda directory: run_phase(directory, url, root / "no-cache"),
        WARM_MIRROR: lambda directory: run_phase(directory, url, root / "cache"),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repetitions + 1):
        for position, (name, pull_into) in enumerate(ways.items()):
            directory = root / f"work-{number}-{position}"
            directory.mkdir()
            start = time.perf_counter()
            pull_into(directory)
            times[name].append((time.perf_counter() - start) * 1000)
    medians = {name: statistics.median(milliseconds[1:]) for name, milliseconds in times.items()}
    floor = medians[GIT_CLONE]
    for name, median in medians.items():
        sys.stdout.write(f"{name:28}{median:8.1f} ms{median - floor:+9.1f} ms\n")
    verdict = "within" if medians[WITHOUT_MIRROR] - floor < BUDGET_MS else "beyond"
    sys.stdout.write(f"overhead {verdict} the budget of {BUDGET_MS} ms, medians of {repetitions}\n")


def clone(directory: Path, url: str) -> None:
    """Clone with git alone."""
    command = ["git", "clone", "--quiet", "--depth", "1", url, str(directory / "project")]
    subprocess.run(command, check=True, timeout=60)


def run_phase(directory: Path, url: str, cache: Path) -> None:
    """Run the pull phase, as the entrypoint does; without a mirror if the cache directory does not exist."""
    os.chdir(directory)
    settings = Settings.from_environ({**os.environ, "PREFECT_UV_CACHE_DIR": str(cache)})
    step = {"prefect.deployments.steps.git_clone": {"repository": url}}
    with contextlib.redirect_stderr(io.StringIO()):
        pull({"pull_steps": [step]}, settings, RunLog(Mask()), None)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS)
