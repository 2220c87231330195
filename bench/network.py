"""The part `network`: a cache volume whose requests take a millisecond, alone and with a directory of the node."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.cases import LIST_EVERYTHING, Entrant, Variants
from bench.goals import FAR, FAR_FLOOR, OFFICIAL, OURS, TIERED
from bench.testbed import IMAGE, LABEL, Testbed
from images import apt
from tests.stack import CacheVolume, image_name
from tests.stack.process import wait_until

UNPACKED = "ours, the same with an empty directory"
FAR_LEAN = f"{FAR}, launcher python"
FAR_OFFICIAL = f"{OFFICIAL}, far volume"
LOCAL = "/local"
MOUNT_SECONDS = 20.0


@contextmanager
def network_entrants(testbed: Testbed, variants: Variants) -> Iterator[Sequence[Entrant]]:
    """Ours on a near and on a far volume, and Prefect's own path; the far ones are filled without the delay."""
    with ExitStack() as resources:
        folder = Path(resources.enter_context(TemporaryDirectory(prefix=f"{LABEL}-far-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        slow = resources.enter_context(slow_directory(folder))
        far, official = (_far_volume(testbed, resources, slow / name) for name in ("ours", "official"))
        _copy(testbed, variants.ours.cache[0], slow.parent / "backing" / "ours")
        _copy(testbed, variants.official.cache[0], slow.parent / "backing" / "official")
        node, empty = (resources.enter_context(testbed.volume()) for _ in range(2))
        run = replace(variants.ours, cache=(far, "/cache"))
        tiered = replace(run, name=TIERED, environ={"PREFECT_UV_LOCAL_DIR": LOCAL}, volumes=(f"{node.name}:{LOCAL}",))
        unpacked = replace(tiered, name=UNPACKED, volumes=(f"{empty.name}:{LOCAL}",))
        deployment = variants.main_branch
        yield [
            Entrant(variants.ours, deployment),
            Entrant(tiered, deployment),
            Entrant(unpacked, deployment, partial(replace(run, cache=(empty, "/cache")).move_aside, LIST_EVERYTHING)),
            Entrant(replace(run, name=FAR), deployment),
            Entrant(replace(variants.lean, name=FAR_LEAN, cache=run.cache), variants.lean_branch),
            Entrant(replace(variants.floor, name=FAR_FLOOR, cache=(far, "/cache")), deployment),
            Entrant(replace(variants.official, name=FAR_OFFICIAL, cache=(official, "/root/.cache/uv")), deployment),
        ]


@contextmanager
def slow_directory(folder: Path) -> Iterator[Path]:
    """A slow directory in a folder, next to the one that it shows; it is unmounted at the end."""
    if not any(Path("/usr/lib").glob("*/libfuse.so.2")):
        apt.install("libfuse2", "the bench measures a slow volume")
    backing, mount_point = folder / "backing", folder / "slow"
    for path in (backing, mount_point):
        path.mkdir()
    backing.chmod(0o777)
    process = subprocess.Popen([sys.executable, "-m", "bench.slow_volume", str(backing), str(mount_point)])
    try:
        wait_until(mount_point.is_mount, f"the mount of {mount_point}", MOUNT_SECONDS)
        yield mount_point
    finally:
        subprocess.run(["umount", "--lazy", str(mount_point)], check=False)
        process.terminate()
        process.wait(MOUNT_SECONDS)


def network_rows(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> Iterator[tuple[str, list[float], list[float]]]:
    """Each variant with its times to Running, and those as multiples of the median on the near volume."""
    median = statistics.median(run["running"] for run in runs[OURS])
    for variant, measured in runs.items():
        running = [run["running"] for run in measured]
        yield variant, running, [seconds / median for seconds in running]


def _far_volume(testbed: Testbed, resources: ExitStack, directory: Path) -> CacheVolume:
    directory.mkdir()
    directory.chmod(0o777)
    options = {"type": "none", "o": "bind", "device": str(directory)}
    return resources.enter_context(CacheVolume.create(testbed.containers, image_name(IMAGE), options))


def _copy(testbed: Testbed, volume: CacheVolume, target: Path) -> None:
    """Copy what a volume has, with its hard links."""
    container = testbed.containers.start(
        image_name(IMAGE),
        ["-a", "/cache/.", "/to"],
        {},
        [f"{volume.name}:/cache", f"{target}:/to"],
        entrypoint="cp",
        user="0",
    )
    testbed.containers.wait(container, 300)
    container.remove()
