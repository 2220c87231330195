"""Medians, quartiles and ratios from the figures: JSON for machines, a table and a plot for people."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.goals import OFFICIAL, OURS, WARM, goals, is_rival
from bench.plot import Bar, plot

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "reference" / "start-up.md"
README = ROOT / "README.md"
PLOT = ROOT / "docs" / "reference" / "start-up.svg"
STAGES = ("running", "completed", "exited")

Figures = Mapping[str, Sequence[Mapping[str, Any]]]


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "machine": platform.machine(),
    }


def saved(*, quick: bool) -> dict[str, Any]:
    """What the last run measured."""
    results: dict[str, Any] = json.loads(_results(quick=quick).read_text())
    return results


def save(results: Mapping[str, Any], *, quick: bool) -> None:
    """Write the JSON; it is done again and again, so that what was measured stays if the rest does not end."""
    RESULTS.mkdir(exist_ok=True)
    _results(quick=quick).write_text(json.dumps(results, indent=1) + "\n")


def write(results: Mapping[str, Any], *, quick: bool) -> None:
    """Write the table, and for a full run the docs, the plot and the README's headline."""
    text = table(results)
    print(text)  # noqa: T201 (a command line talks by printing)
    if not quick:
        for page, content in pages(results).items():
            page.write_text(content)


def pages(results: Mapping[str, Any]) -> dict[Path, str]:
    """What a full run writes into the docs, by file."""
    picture = f"![The phases of each case]({PLOT.name})"
    return {
        PAGE: _inserted(PAGE, "start-up", f"{table(results)}\n\n{picture}"),
        README: _inserted(README, "headline", "\n".join(headline(results))),
        PLOT: plot(list(bars(results["cases"]))),
    }


def _results(*, quick: bool) -> Path:
    return RESULTS / ("quick.json" if quick else "full.json")


def _inserted(page: Path, name: str, text: str) -> str:
    """A page with a text between its marks."""
    before, after = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    content = page.read_text()
    return f"{content.partition(before)[0]}{before}\n{text}\n{after}{content.partition(after)[2]}"


def headline(results: Mapping[str, Any]) -> list[str]:
    """What a reader wants to know first: ours beside Prefect's path, medians."""
    rows = []
    for case, figures in results["cases"].items():
        ours, theirs = (median(figures[name], "running") for name in (OURS, _rival(figures)))
        rows.append(f"| {case} | **{ours:.2f} s** | {theirs:.2f} s | {theirs / ours:.1f} x |")
    sizes, memory = results["images"], {name: median_of(each) for name, each in results["memory"].items()}
    for title, unit, each in (("memory beside the engine (PSS)", "MB", memory), ("image", "MB", sizes)):
        ours, theirs = each[OURS], each[OFFICIAL]
        rows.append(f"| {title} | **{ours:.0f} {unit}** | {theirs:.0f} {unit} | {theirs / ours:.1f} x |")
    return _rows("Container start to Running | prefect-uv | Prefect's own path | ", rows)


def _rival(figures: Figures) -> str:
    """The case's contestant of Prefect's path."""
    return next(filter(is_rival, figures))


def table(results: Mapping[str, Any]) -> str:
    """All of it in Markdown."""
    place = results["machine"]
    dates = " and ".join(sorted(set(results["dates"].values())))
    where = f"{place['cpus']} processors ({place['machine']}), Linux {place['kernel']}, {dates}"
    near = len(results["cases"][WARM][OURS])
    taken = [run["taken"] for figures in results["cases"].values() for each in figures.values() for run in each]
    share = f"{median_of(taken):.1%} of the processors in the median run, {max(taken):.0%} at most"
    rounds = f"{results['rounds']} counted runs of each, {near} of those that are near each other"
    parts = [
        [f"{rounds}, on {where}. Other machines took {share}."],
        _rows("Goal | At most | Measured | ", map(str, goals(results))),
        _rows("Case | Who | Running, s | Completed, s | Container's end, s | CPU, s | Times ours", _cases(results)),
        _rows(" | Who | Median (quartiles)", _others(results)),
        _rows("At once | Who | Until the last has ended, s | Environments built", _crowds(results)),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def _rows(head: str, rows: Iterable[str]) -> list[str]:
    return [f"| {head} |", "|" + " --- |" * (head.count("|") + 1), *rows]


def _cases(results: Mapping[str, Any]) -> Iterable[str]:
    for case, figures in results["cases"].items():
        ours = median(figures[OURS], "running")
        for name, each in figures.items():
            cells = [spread([one[stage] for one in each]) for stage in (*STAGES, "cpu")]
            yield f"| {case} | {name} | {' | '.join(cells)} | {median(each, 'running') / ours:.2f} |"


def _others(results: Mapping[str, Any]) -> Iterable[str]:
    cancelled, ended = ({name: [one[n] for one in each] for name, each in results["cancel"].items()} for n in (0, 1))
    groups = {
        "image, MB": {name: [value] for name, value in results["images"].items()},
        "memory beside the engine (PSS), MB": results["memory"],
        "Cancel to Cancelled, s": cancelled,
        "Cancel to the container's end, s": ended,
    }
    for title, group in groups.items():
        for name, each in group.items():
            yield f"| {title} | {name} | {spread(each)} |"


def _crowds(results: Mapping[str, Any]) -> Iterable[str]:
    """The floor has its environment; all others begin with an empty volume."""
    for count, group in results["crowd"].items():
        for name, one in group.items():
            built = f"{one['builds']:.0f}" if name == OURS else ""
            ended = one["completed"] == int(count)
            seconds = (
                f"{one['seconds']:.1f}" if ended else f"{one['completed']:.0f} Completed after {one['seconds']:.0f}"
            )
            yield f"| {count} | {name} | {seconds} | {built} |"


def bars(cases: Mapping[str, Figures]) -> Iterable[Bar]:
    """A bar for each contestant of each case, cut where the flow runs and where it is over."""
    for case, figures in cases.items():
        for name, each in figures.items():
            phases = {phase: median_of(one["phases"].get(phase, 0) for one in each) for phase in each[0]["phases"]}
            running, completed, exited = (median(each, stage) for stage in STAGES)
            rest = {"until Running": running - sum(phases.values())}
            yield Bar(case, name, {**phases, **rest, "flow": completed - running, "end": exited - completed})


def median(each: Sequence[Mapping[str, Any]], name: str) -> float:
    """The median of one figure."""
    return median_of(one[name] for one in each)


def median_of(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(list(values))


def spread(values: Sequence[float]) -> str:
    """The median with its quartiles."""
    if len(values) < 2:  # noqa: PLR2004 (a single value has no quartiles)
        return f"{values[0]:.2f}"
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} ({first:.2f} to {third:.2f})"
