"""`make bench`: starts of the same flow, ours beside a stand-in of Prefect's image and beside the floor, in turn.

The images are built and Docker is running when this starts. QUICK=1 makes fewer rounds. Everything it starts is gone
when it ends; results go to bench/results/, the table and the plot to docs/.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench import report
from bench.arena import Arena, Contestant
from bench.cases import Entry, Field
from bench.measure import cancel, crowd, memory
from images import engine
from images.process import run

ROUNDS, QUICK_ROUNDS = 10, 2
CROWDS, QUICK_CROWDS = (1, 10, 50), (1, 10)


def main() -> int:
    """Measure all, write the results, print the table."""
    quick = bool(os.environ.get("QUICK"))
    rounds, crowds = (QUICK_ROUNDS, QUICK_CROWDS) if quick else (ROUNDS, CROWDS)
    with Arena.open() as arena, Field.open(arena) as field:
        results: dict[str, Any] = {"rounds": rounds, "machine": report.machine()}
        results["images"] = {each.name: size(each.image) for each in (field.ours, field.official)}
        results["cases"] = {name: _case(arena, name, entries, rounds) for name, entries in field.cases().items()}
        others: Sequence[Contestant] = (field.ours, field.lean, field.official)
        results["memory"] = _each(others, rounds // 3 + 1, lambda one: memory(arena, one, field.main))
        results["cancel"] = _each(
            (field.ours, field.official), rounds // 2 + 1, lambda one: cancel(arena, one, field.main)
        )
        results["crowd"] = _crowds(arena, field, crowds)
    report.write(results, quick=quick)
    return 0


def _case(arena: Arena, name: str, entries: Sequence[Entry], rounds: int) -> Mapping[str, Any]:
    """In turn, so that a busy machine slows all of it alike; the first round warms up and does not count."""
    figures: dict[str, list[Any]] = {entry.contestant.name: [] for entry in entries}
    for number in range(rounds + 1):
        for entry in entries:
            one = entry.run(arena)
            say(f"{name}, {number}: {entry.contestant.name} running after {one.running:.2f} s, cpu {one.cpu:.2f} s")
            if number:
                figures[entry.contestant.name].append(asdict(one))
    return figures


def _each(
    contestants: Sequence[Contestant], rounds: int, function: Callable[[Contestant], float]
) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {one.name: [] for one in contestants}
    for _ in range(rounds):
        for one in contestants:
            values[one.name].append(function(one))
            say(f"{function.__qualname__.rpartition('.')[2]}: {one.name} {values[one.name][-1]:.2f}")
    return values


def _crowds(arena: Arena, field: Field, counts: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Many at once: ours and theirs on an empty volume, and as many engines on an environment that is there."""
    found: dict[str, dict[str, Any]] = {}
    for count in counts:
        found[str(count)] = {"floor": crowd(arena, field.floor, field.main, count)}
        say(f"{count} at once: floor {found[str(count)]['floor']}")
    for count in counts:
        for one in (field.ours, field.official):
            one.empty()
            found[str(count)][one.name] = crowd(arena, one, field.main, count)
            say(f"{count} at once: {one.name} {found[str(count)][one.name]}")
    return found


def size(image: str) -> float:
    """Of an image, uncompressed, in MB."""
    return int(run([str(engine.client()), "image", "inspect", "--format", "{{.Size}}", image], timeout=60)) / 1e6


def say(text: str) -> None:
    """Tell how far we are."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
