"""The goals of the start-up, judged by the medians of one run of the benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OURS, OFFICIAL, FLOOR, FROZEN = "ours", "official", "floor", "floor, Prefect frozen"
UNCHANGED = "ours, nothing changed"
WARM, PACKAGE_CHANGED, GONE, COLD = "warm", "one package changed", "environment gone, uv cache warm", "all cold"


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
    cases = results["cases"]
    warm, changed, gone = (
        {variant: _medians(runs) for variant, runs in cases[case].items()} for case in (WARM, PACKAGE_CHANGED, GONE)
    )
    ours, floor = warm[OURS], warm[FLOOR]
    yield Goal("warm: time to Running, as a multiple of the floor", 1.15, ours["running"] / floor["running"])
    fraction = ours["running"] / warm[OFFICIAL]["running"]
    yield Goal("warm: time to Running, as a fraction of Prefect's own path", 0.25, fraction)
    beyond_floor = gone[OURS]["running"] - gone[FLOOR]["running"]
    yield Goal("environment gone: time to Running beyond the floor, s", 1.6, beyond_floor)
    beyond_warm = changed[OURS]["running"] - changed[UNCHANGED]["running"]
    yield Goal("one package changed: time to Running beyond warm, s", 0.6, beyond_warm)
    yield Goal("warm: CPU time beyond the floor with Prefect frozen, s", 0.35, ours["cpu"] - warm[FROZEN]["cpu"])
    memory = {variant: statistics.median(values) for variant, values in results["memory"].items()}
    fraction = memory[OURS] / memory[OFFICIAL]
    yield Goal("memory in addition to the engine's, as a fraction of Prefect's own path", 0.5, fraction)
    crowds = ((int(count), crowd) for count, crowd in results["crowd"].items() if OURS in crowd)
    count, largest = max(crowds, key=lambda item: item[0])
    expected = _medians(cases[COLD][OURS])["exited"] + largest[FLOOR]["seconds"]
    multiple = largest[OURS]["seconds"] / expected if largest[OURS]["completed"] == count else float("inf")
    yield Goal(f"{count} at once, empty volume: environments built", 1, largest[OURS]["builds"])
    yield Goal(f"{count} at once: time, as a multiple of one cold start and {count} floors at once", 1.3, multiple)


def _medians(runs: list[Mapping[str, Any]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in ("running", "exited", "cpu")}
