"""`make bench`: starts of the same flow, ours beside a stand-in of Prefect's image and beside the floor, in turn.

The images are built and Docker is running when this starts. QUICK=1 makes fewer rounds, PARTS="cases crowd" measures
these again and keeps the rest. Everything it starts is gone when it ends; results go to bench/results/, the table and
the plot to docs/.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from bench import report
from bench.arena import Arena
from bench.cases import EVERYTHING, Case, Entry, Field
from bench.goals import WARM, is_rival
from bench.measure import Figures, cancel, crowd, memory
from images import docker_engine
from images.process import run

TAKEN = 0.05


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        rounds: how often each contestant of a case has its turn.
        near: how often in each round those have it that are near each other.
        tries: how often a run is made that other machines disturb.
        crowds: how many start at once.
        rivals: whether Prefect's own path takes part wherever it can, or only in the case "warm", memory and Cancel.
    """

    rounds: int
    near: int
    tries: int
    crowds: Sequence[int]
    rivals: bool


FULL = Extent(rounds=10, near=3, tries=3, crowds=(1, 10, 50), rivals=True)
QUICK = Extent(rounds=1, near=1, tries=1, crowds=(4,), rivals=False)
Found = Iterator[tuple[str, Any]]
Part = Callable[[Arena, Field, Extent], Found]


def main() -> int:
    """Measure all, write the results, print the table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    quick = bool(os.environ.get("QUICK"))
    extent = QUICK if quick else FULL
    parts: dict[str, Part] = {"cases": _cases, "memory": _memory, "cancel": _cancel, "crowd": _crowds}
    wanted = os.environ.get("PARTS", "").split()
    if unknown := set(wanted) - set(parts):
        sys.exit(f"bench: PARTS has no {', '.join(sorted(unknown))}: it may have {', '.join(parts)}")
    results = report.saved(quick=quick) if wanted else {"dates": {}}
    with Arena.open() as arena, Field.open(arena) as field:
        results |= {"rounds": extent.rounds, "machine": report.machine()}
        results["images"] = {each.name: size(each.image) for each in (field.ours, field.official)}
        for name in wanted or parts:
            results[name] = {}
            results["dates"][name] = datetime.now(UTC).date().isoformat()
            for key, found in parts[name](arena, field, extent):
                results[name][key] = found
                report.save(results, quick=quick)
    report.write(results, quick=quick)
    return 0


def _cases(arena: Arena, field: Field, extent: Extent) -> Found:
    for case in field.cases():
        yield case.name, _case(arena, case, extent)


def _case(arena: Arena, case: Case, extent: Extent) -> Mapping[str, Any]:
    """In turn, so that a busy machine slows all of it alike; the warm-up does not count."""
    all_meet = extent.rivals or case.name == WARM
    entries = [entry for entry in case.entries if all_meet or not is_rival(entry.contestant.name)]
    near = [entry for entry in entries if entry.is_near]
    figures: dict[str, list[Any]] = {entry.contestant.name: [] for entry in entries}
    for number in range(0 if case.warms_up else 1, extent.rounds + 1):
        for entry in [*entries, *near * (extent.near - 1 if number else 0)]:
            name, one = entry.contestant.name, _undisturbed(arena, entry, extent.tries)
            say(f"{case.name}, {number}: {name} running after {one.running:.2f} s, cpu {one.cpu:.2f} s")
            if number:
                figures[name].append(asdict(one))
    return figures


def _undisturbed(arena: Arena, entry: Entry, tries: int) -> Figures:
    """A run, again while other machines take the processors; of all tries the least disturbed."""
    runs: list[Figures] = []
    while len(runs) < tries and not any(run.taken < TAKEN for run in runs):
        runs.append(entry.run(arena))
    return min(runs, key=lambda run: run.taken)


def _memory(arena: Arena, field: Field, extent: Extent) -> Found:
    values: dict[str, list[float]] = {}
    for _ in range(extent.rounds):
        for one in (field.ours, field.lean, field.official):
            values.setdefault(one.name, []).append(memory(arena, one, field.main))
            say(f"memory: {one.name} {values[one.name][-1]:.0f} MB")
    yield from values.items()


def _cancel(arena: Arena, field: Field, extent: Extent) -> Found:
    values: dict[str, list[tuple[float, float]]] = {}
    for _ in range(extent.rounds):
        for one in (field.ours, field.official):
            values.setdefault(one.name, []).append(cancel(arena, one, field.main))
            say(f"Cancel: {one.name} Cancelled after {values[one.name][-1][0]:.2f} s")
    yield from values.items()


def _crowds(arena: Arena, field: Field, extent: Extent) -> Found:
    """Many at once: engines on an environment that is there, and as many of ours and theirs on an empty volume.

    A crowd that does not end is the last one: the server that it leaves behind answers nobody.
    """
    for count in extent.crowds:
        group: dict[str, Mapping[str, float]] = {}
        for one in (field.floor, field.ours, *([field.official] if extent.rivals else [])):
            if one is not field.floor:
                one.put_away(EVERYTHING)
            group[one.name] = crowd(arena, one, field.main, count)
            say(f"{count} at once: {one.name} {group[one.name]}")
            yield str(count), group
            if group[one.name]["completed"] < count:
                return


def size(image: str) -> float:
    """Of an image, uncompressed, in MB."""
    return int(run([str(docker_engine.client()), "image", "inspect", "--format", "{{.Size}}", image], timeout=60)) / 1e6


def say(text: str) -> None:
    """Tell how far we are."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
