"""What the start-up has to reach, judged by the medians of one run of the benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OURS, OFFICIAL, FLOOR, FROZEN = "ours", "official", "floor", "floor, Prefect frozen"
UNCHANGED = "ours, nothing changed"
WARM, PACKAGE_CHANGED, GONE, COLD = "warm", "one package changed", "environment gone, uv cache warm", "all cold"


def is_rival(name: str) -> bool:
    """Whether a contestant is Prefect's own path."""
    return name.startswith(OFFICIAL)


@dataclass(frozen=True)
class Goal:
    """A figure and the most that it may be."""

    text: str
    most: float
    measured: float

    def __str__(self) -> str:
        """A row of the table."""
        verdict = "reached" if self.measured <= self.most else "**missed**"
        return f"| {self.text} | {self.most:.2f} | {self.measured:.2f} | {verdict} |"


def goals(results: Mapping[str, Any]) -> Iterator[Goal]:
    """All of them; the crowd is judged by its largest."""
    cases = results["cases"]
    warm, changed, gone = (
        {name: _medians(each) for name, each in cases[case].items()} for case in (WARM, PACKAGE_CHANGED, GONE)
    )
    ours, floor = warm[OURS], warm[FLOOR]
    yield Goal("warm: Running, times the floor", 1.15, ours["running"] / floor["running"])
    yield Goal("warm: Running, as a part of Prefect's own path", 0.25, ours["running"] / warm[OFFICIAL]["running"])
    yield Goal("environment gone: Running beyond the floor, s", 1.6, gone[OURS]["running"] - gone[FLOOR]["running"])
    beyond = changed[OURS]["running"] - changed[UNCHANGED]["running"]
    yield Goal("one package changed: Running beyond warm, s", 0.6, beyond)
    yield Goal("warm: CPU beyond the floor that starts as ours does, s", 0.35, ours["cpu"] - warm[FROZEN]["cpu"])
    memory = {name: statistics.median(each) for name, each in results["memory"].items()}
    yield Goal("memory beside the engine, as a part of Prefect's own path", 0.5, memory[OURS] / memory[OFFICIAL])
    crowds = ((int(count), group) for count, group in results["crowd"].items() if OURS in group)
    count, crowd = max(crowds, key=lambda item: item[0])
    alone = _medians(cases[COLD][OURS])["exited"] + crowd[FLOOR]["seconds"]
    times = crowd[OURS]["seconds"] / alone if crowd[OURS]["completed"] == count else float("inf")
    yield Goal(f"{count} at once, empty volume: environments built", 1, crowd[OURS]["builds"])
    yield Goal(f"{count} at once: time, times (one cold start + {count} floors)", 1.3, times)


def _medians(runs: list[Mapping[str, Any]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in ("running", "exited", "cpu")}
