"""The goals of the start-up, judged by the medians of one run of the benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OURS, OFFICIAL, FLOOR, FROZEN = "ours", "official", "floor", "floor, Prefect frozen"
UNCHANGED = "ours, nothing changed"
LATE, PLAIN = "ours, engine not early", "ours, engine not early, no import bundle"
FAR, FAR_FLOOR, TIERED = "ours, far volume", "floor, far volume", "ours, far volume and PREFECT_UV_LOCAL_DIR"
WARM, PACKAGE_CHANGED, GONE, COLD = "warm", "one package changed", "environment gone, uv cache warm", "all cold"
FAR_SERVICES, ONE_PROCESSOR = "API and git 50 ms away", "one processor"


def is_official(variant: str) -> bool:
    """Whether the variant of this name is Prefect's own path."""
    return variant.startswith(OFFICIAL)


@dataclass(frozen=True)
class Goal:
    """A measured value, and the maximum that is acceptable."""

    text: str
    at_most: float
    measured: float

    def __str__(self) -> str:
        """The row of the table."""
        verdict = "reached" if self.measured <= self.at_most else "**missed**"
        return f"| {self.text} | {self.at_most:.2f} | {self.measured:.2f} | {verdict} |"


def goals(results: Mapping[str, Any]) -> Iterator[Goal]:
    """All goals; those of crowds are judged by the largest crowd."""
    cases = {
        case: {name: _medians(runs) for name, runs in variants.items()} for case, variants in results["cases"].items()
    }
    warm, changed, gone = cases[WARM], cases[PACKAGE_CHANGED], cases[GONE]
    for case in (WARM, FAR_SERVICES):
        yield Goal(f"{case}: time to Running, as a multiple of the floor", 1, _ratio(cases[case], OURS, FLOOR))
    yield Goal("warm: time to Running, as a fraction of Prefect's own path", 1 / 6, _ratio(warm, OURS, OFFICIAL))
    beyond_warm = changed[OURS]["running"] - changed[UNCHANGED]["running"]
    yield Goal("one package changed: time to Running beyond warm, s", 0.4, beyond_warm)
    beyond_floor = gone[OURS]["running"] - gone[FLOOR]["running"]
    yield Goal("environment gone: time to Running beyond the floor, s", 1.6, beyond_floor)
    alone = _ratio(cases[ONE_PROCESSOR], OURS, PLAIN)
    yield Goal("one processor: time to Running, as a multiple of that without an import bundle", 1, alone)
    network = {variant: _medians(runs) for variant, runs in results["network"].items()}
    for variant in (TIERED, FAR):
        yield Goal(
            f"{variant}: time to Running, as a fraction of the floor there", 0.25, _ratio(network, variant, FAR_FLOOR)
        )
    yield Goal("warm: CPU time beyond the floor with Prefect frozen, s", 0.35, warm[OURS]["cpu"] - warm[FROZEN]["cpu"])
    memory = {variant: statistics.median(values) for variant, values in results["memory"].items()}
    fraction = memory[OURS] / memory[OFFICIAL]
    yield Goal("memory in addition to the engine's, as a fraction of Prefect's own path", 0.5, fraction)
    crowds = ((int(count), crowd) for count, crowd in results["crowd"].items() if OURS in crowd)
    count, largest = max(crowds, key=lambda item: item[0])
    expected = cases[COLD][OURS]["exited"] + largest[FLOOR]["seconds"]
    multiple = largest[OURS]["seconds"] / expected if largest[OURS]["completed"] == count else float("inf")
    yield Goal(f"{count} at once, empty volume: environments built", 1, largest[OURS]["builds"])
    yield Goal(f"{count} at once: time, as a multiple of one cold start and {count} floors at once", 1.3, multiple)


def _ratio(variants: Mapping[str, Mapping[str, float]], one: str, other: str) -> float:
    return variants[one]["running"] / variants[other]["running"]


def _medians(runs: list[Mapping[str, Any]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in ("running", "exited", "cpu")}
