"""`make bench`: measure how the same flow starts with ours, with a stand-in for Prefect's image, and with the floor.

The images have been built and Docker is running when this starts. QUICK=1 makes a single round; PARTS="cases crowd"
measures only these parts again and keeps the other results. Everything that was started is removed at the end. The
results go to bench/results/, the tables and the plot to docs/; an interrupted run leaves `*.unfinished.json`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bench import report
from bench.cases import LIST_EVERYTHING, Case, Entrant, Variants
from bench.goals import WARM, is_official
from bench.measure import Measurement, measure_cancel, measure_crowd, measure_memory
from bench.network import network_entrants
from bench.testbed import Testbed
from images import docker_engine, process

ACCEPTED_STEAL = 0.05
NETWORK_ROUNDS = 3


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        rounds: how many rounds each case has, without the warm-up.
        close_runs: how many runs a variant has in each round if its results are close to another's.
        attempts: how often a run is measured if other virtual machines disturb it.
        crowd_sizes: how many containers are started at once.
        with_official: whether Prefect's own path takes part in all cases and crowds, or only in the case "warm".
    """

    rounds: int
    close_runs: int
    attempts: int
    crowd_sizes: Sequence[int]
    with_official: bool


FULL = Extent(rounds=5, close_runs=2, attempts=3, crowd_sizes=(1, 10, 50), with_official=True)
QUICK = Extent(rounds=1, close_runs=1, attempts=1, crowd_sizes=(4,), with_official=False)
PartResults = Iterator[tuple[str, Any]]
Part = Callable[[Testbed, Variants, Extent], PartResults]


def main() -> int:
    """Measure all parts, or those in PARTS, save the results and print them."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    quick = bool(os.environ.get("QUICK"))
    extent = QUICK if quick else FULL
    parts: dict[str, Part] = {
        "cases": _cases,
        "memory": _memory,
        "cancel": _cancel,
        "crowd": _crowds,
        "network": _network,
    }
    selected = os.environ.get("PARTS", "").split()
    if unknown := set(selected) - set(parts):
        sys.exit(f"bench: PARTS has no {', '.join(sorted(unknown))}: choose from {', '.join(parts)}")
    results = report.start(selected, quick=quick)
    with Testbed.open() as testbed, Variants.open(testbed) as variants:
        results |= {"rounds": extent.rounds, "machine": report.machine()}
        results["images"] = {variant.name: image_size(variant.image) for variant in (variants.ours, variants.official)}
        for name in selected or parts:
            results[name] = {}
            results["dates"][name] = datetime.now(UTC).date().isoformat()
            for key, values in parts[name](testbed, variants, extent):
                results[name][key] = values
                report.save(results, quick=quick)
    report.finish(results, quick=quick)
    return 0


def _cases(testbed: Testbed, variants: Variants, extent: Extent) -> PartResults:
    for case in variants.cases():
        yield case.name, _measure_case(testbed, case, extent)


def _measure_case(testbed: Testbed, case: Case, extent: Extent) -> Mapping[str, Any]:
    """The counted runs by variant. The variants take turns, so that a slow phase of the machine slows all of them."""
    with_official = extent.with_official or case.name == WARM
    entrants = [entrant for entrant in case.entrants if with_official or not is_official(entrant.variant.name)]
    close = [entrant for entrant in entrants if entrant.is_close]
    runs: dict[str, list[Any]] = {entrant.variant.name: [] for entrant in entrants}
    for number in range(0 if case.warms_up else 1, extent.rounds + 1):
        for entrant in [*entrants, *close * (extent.close_runs - 1 if number else 0)]:
            name, measured = entrant.variant.name, _measure_undisturbed(testbed, entrant, extent.attempts)
            say(f"{case.name}, {number}: {name} running after {measured.running:.2f} s, cpu {measured.cpu:.2f} s")
            if number:
                runs[name].append(asdict(measured))
    return runs


def _measure_undisturbed(testbed: Testbed, entrant: Entrant, attempts: int) -> Measurement:
    """Measure a run, again if other virtual machines took too much processor time, and return the least disturbed."""
    measured: list[Measurement] = []
    while len(measured) < attempts and not any(run.steal < ACCEPTED_STEAL for run in measured):
        measured.append(entrant.run(testbed))
    return min(measured, key=lambda run: run.steal)


def _memory(testbed: Testbed, variants: Variants, extent: Extent) -> PartResults:
    values: dict[str, list[float]] = {}
    for _ in range(extent.rounds):
        for variant in (variants.ours, variants.lean, variants.official):
            deployment = variants.lean_branch if variant is variants.lean else variants.main_branch
            megabytes = measure_memory(testbed, variant, deployment)
            values.setdefault(variant.name, []).append(megabytes)
            say(f"memory: {variant.name} {megabytes:.0f} MB")
    yield from values.items()


def _cancel(testbed: Testbed, variants: Variants, extent: Extent) -> PartResults:
    values: dict[str, list[tuple[float, float]]] = {}
    for _ in range(extent.rounds):
        for variant in (variants.ours, variants.official):
            times = measure_cancel(testbed, variant, variants.main_branch)
            values.setdefault(variant.name, []).append(times)
            say(f"Cancel: {variant.name} Cancelled after {times[0]:.2f} s")
    yield from values.items()


def _crowds(testbed: Testbed, variants: Variants, extent: Extent) -> PartResults:
    """Crowds of each size: the floor with its environment, ours and Prefect's own path with empty volumes.

    A crowd that does not complete is the last one, because it leaves a server that answers no more requests.
    """
    official = [variants.official] if extent.with_official else []
    for count in extent.crowd_sizes:
        crowds: dict[str, Mapping[str, float]] = {}
        for variant in (variants.floor, variants.ours, *official):
            if variant is not variants.floor:
                variant.move_aside(LIST_EVERYTHING)
            crowds[variant.name] = measure_crowd(testbed, variant, variants.main_branch, count)
            say(f"{count} at once: {variant.name} {crowds[variant.name]}")
            yield str(count), crowds
            if crowds[variant.name]["completed"] < count:
                return


def _network(testbed: Testbed, variants: Variants, extent: Extent) -> PartResults:
    """A warm start on a near and on a far volume; the variants take turns."""
    with network_entrants(testbed, variants) as entrants:
        case = Case("network", entrants)
        yield from _measure_case(testbed, case, replace(extent, rounds=min(extent.rounds, NETWORK_ROUNDS))).items()


def image_size(image: str) -> float:
    """The uncompressed size of an image in MB."""
    command = [str(docker_engine.client()), "image", "inspect", "--format", "{{.Size}}", image]
    return int(process.run(command, timeout=60)) / 1e6


def say(text: str) -> None:
    """Print progress to stderr."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
