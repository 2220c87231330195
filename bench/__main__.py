"""`make bench`: starts of the same flow, ours beside a stand-in of Prefect's image and beside the floor, in turn.

The images are built and Docker is running when this starts. QUICK=1 makes fewer rounds, PARTS="cases crowd" measures
these again and keeps the rest. Everything it starts is gone when it ends; results go to bench/results/, the table and
the plot to docs/.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from bench import report
from bench.arena import Arena
from bench.cases import Case, Field
from bench.measure import cancel, crowd, memory
from images import engine
from images.process import run

ROUNDS, QUICK_ROUNDS = 10, 1
CROWDS, QUICK_CROWDS = (1, 10, 50), (1, 4)

Part = Callable[[Arena, Field], Any]


def main() -> int:
    """Measure all, write the results, print the table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    quick = bool(os.environ.get("QUICK"))
    rounds, crowds = (QUICK_ROUNDS, QUICK_CROWDS) if quick else (ROUNDS, CROWDS)
    parts: dict[str, Part] = {
        "cases": lambda arena, field: {
            case.name: _case(arena, case, rounds if quick else rounds * case.times) for case in field.cases()
        },
        "memory": lambda arena, field: _memory(arena, field, rounds),
        "cancel": lambda arena, field: _cancel(arena, field, rounds),
        "crowd": lambda arena, field: _crowds(arena, field, crowds),
    }
    wanted = os.environ.get("PARTS", "").split()
    if unknown := set(wanted) - set(parts):
        sys.exit(f"bench: PARTS has no {', '.join(sorted(unknown))}: it may have {', '.join(parts)}")
    results = report.saved(quick=quick) if wanted else {"dates": {}}
    with Arena.open() as arena, Field.open(arena) as field:
        results |= {"rounds": rounds, "machine": report.machine()}
        results["images"] = {each.name: size(each.image) for each in (field.ours, field.official)}
        for name in wanted or parts:
            results[name] = parts[name](arena, field)
            results["dates"][name] = datetime.now(UTC).date().isoformat()
            report.save(results, quick=quick)
    report.write(results, quick=quick)
    return 0


def _case(arena: Arena, case: Case, rounds: int) -> Mapping[str, Any]:
    """In turn, so that a busy machine slows all of it alike; the warm-up does not count."""
    figures: dict[str, list[Any]] = {entry.contestant.name: [] for entry in case.entries}
    for number in range(0 if case.warms_up else 1, rounds + 1):
        for entry in case.entries:
            name, one = entry.contestant.name, entry.run(arena)
            say(f"{case.name}, {number}: {name} running after {one.running:.2f} s, cpu {one.cpu:.2f} s")
            if number:
                figures[name].append(asdict(one))
    return figures


def _memory(arena: Arena, field: Field, rounds: int) -> Mapping[str, list[float]]:
    values: dict[str, list[float]] = {}
    for _ in range(rounds):
        for one in (field.ours, field.lean, field.official):
            values.setdefault(one.name, []).append(memory(arena, one, field.main))
            say(f"memory: {one.name} {values[one.name][-1]:.0f} MB")
    return values


def _cancel(arena: Arena, field: Field, rounds: int) -> Mapping[str, list[tuple[float, float]]]:
    values: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for one in (field.ours, field.official):
            values.setdefault(one.name, []).append(cancel(arena, one, field.main))
            say(f"Cancel: {one.name} Cancelled after {values[one.name][-1][0]:.2f} s")
    return values


def _crowds(arena: Arena, field: Field, counts: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Many at once: ours and theirs on an empty volume, and as many engines on an environment that is there.

    A crowd that does not end is the last one: the server that it leaves behind answers nobody.
    """
    found: dict[str, dict[str, Any]] = {}
    for count in counts:
        found[str(count)] = {"floor": crowd(arena, field.floor, field.main, count)}
        say(f"{count} at once: floor {found[str(count)]['floor']}")
    for count in counts:
        for one in (field.ours, field.official):
            one.empty()
            found[str(count)][one.name] = crowd(arena, one, field.main, count)
            say(f"{count} at once: {one.name} {found[str(count)][one.name]}")
            if found[str(count)][one.name]["completed"] < count:
                return found
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
