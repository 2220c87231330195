"""The results as JSON, and what is made of them: tables and a plot, with medians, quartiles and ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.goals import OFFICIAL, OURS, WARM, goals, is_official
from bench.network import network_rows
from bench.plot import Bar, plot

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "reference" / "start-up.md"
README = ROOT / "README.md"
PLOT = ROOT / "docs" / "reference" / "start-up.svg"
STAGES = ("running", "completed", "exited")

CaseRuns = Mapping[str, Sequence[Mapping[str, Any]]]
"""The measurements of a case, by variant."""


def machine() -> dict[str, Any]:
    """The machine that runs the benchmark."""
    return {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "machine": platform.machine(),
    }


def load(*, quick: bool) -> dict[str, Any]:
    """The results of the last complete run."""
    results: dict[str, Any] = json.loads(_path(quick=quick).read_text())
    return results


def start(parts: Sequence[str], *, quick: bool) -> dict[str, Any]:
    """The results to which a run adds: those of the last complete run if only some parts are measured, or else none.

    Raises:
        SystemExit: there are no results to which single parts can be added.
    """
    if not parts:
        return {"dates": {}}
    try:
        return load(quick=quick)
    except FileNotFoundError:
        run = "make bench QUICK=1" if quick else "make bench"
        sys.exit(f"bench: PARTS adds to {_path(quick=quick)}, which does not exist: run `{run}` without PARTS first")


def save(results: Mapping[str, Any], *, quick: bool) -> None:
    """Write unfinished results to a separate file, so that an interrupted run keeps them and the last complete ones."""
    RESULTS.mkdir(exist_ok=True)
    _unfinished_path(quick=quick).write_text(json.dumps(results, indent=1) + "\n")


def finish(results: Mapping[str, Any], *, quick: bool) -> None:
    """Replace the results of the last run, print the tables and, after a full run, write them into the docs."""
    save(results, quick=quick)
    _unfinished_path(quick=quick).replace(_path(quick=quick))
    print(tables(results))  # noqa: T201 (a command-line program prints)
    if not quick:
        for page, content in pages(results).items():
            page.write_text(content)


def pages(results: Mapping[str, Any]) -> dict[Path, str]:
    """The files of the docs that contain results, with their new content."""
    picture = f"![The phases of each case]({PLOT.name})"
    return {
        PAGE: _insert(PAGE, "start-up", f"{tables(results)}\n\n{picture}"),
        README: _insert(README, "headline", "\n".join(headline(results))),
        PLOT: plot(list(bars(results["cases"]))),
    }


def _path(*, quick: bool) -> Path:
    return RESULTS / ("quick.json" if quick else "full.json")


def _unfinished_path(*, quick: bool) -> Path:
    return _path(quick=quick).with_suffix(".unfinished.json")


def _insert(page: Path, name: str, text: str) -> str:
    """The content of a page, with a text between the markers of this name."""
    before, after = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    content = page.read_text()
    return f"{content.partition(before)[0]}{before}\n{text}\n{after}{content.partition(after)[2]}"


def headline(results: Mapping[str, Any]) -> list[str]:
    """The README's table: medians of ours next to those of Prefect's own path."""
    rows = []
    for case, runs in results["cases"].items():
        official = next(filter(is_official, runs), None)
        if official is None:
            continue
        ours, theirs = (median_of(runs[variant], "running") for variant in (OURS, official))
        rows.append(f"| {case} | **{ours:.2f} s** | {theirs:.2f} s | {theirs / ours:.1f} x |")
    memory = {variant: median(values) for variant, values in results["memory"].items()}
    for title, megabytes in (("memory in addition to the engine's (PSS)", memory), ("image", results["images"])):
        ours, theirs = megabytes[OURS], megabytes[OFFICIAL]
        rows.append(f"| {title} | **{ours:.0f} MB** | {theirs:.0f} MB | {theirs / ours:.1f} x |")
    return _table("Container start to Running | prefect-uv | Prefect's own path | ", rows)


def tables(results: Mapping[str, Any]) -> str:
    """All results in Markdown."""
    host = results["machine"]
    dates = " and ".join(sorted(set(results["dates"].values())))
    measured_on = f"{host['cpus']} processors ({host['machine']}), Linux {host['kernel']}, {dates}"
    close = len(results["cases"][WARM][OURS])
    steal = [run["steal"] for case in results["cases"].values() for runs in case.values() for run in runs]
    stolen = f"{median(steal):.1%} of the processor time in the median run, {max(steal):.0%} at most"
    rounds = f"{results['rounds']} counted runs of each variant, {close} of those whose results are close"
    sections = [
        [f"{rounds}, on {measured_on}. Other virtual machines took {stolen}."],
        _table("Goal | At most | Measured | ", map(str, goals(results))),
        _table(
            "Case | Variant | Running, s | Completed, s | Container's end, s | CPU, s | Ratio to ours", _cases(results)
        ),
        _table(" | Variant | Median (quartiles)", _other_results(results)),
        _table("At once | Variant | Until the last has ended, s | Environments built", _crowds(results)),
        _table(
            "A warm start, a millisecond for each request to the far volume | Running, s | Ratio to the near volume",
            _network(results),
        ),
    ]
    return "\n\n".join("\n".join(section) for section in sections)


def _table(head: str, rows: Iterable[str]) -> list[str]:
    return [f"| {head} |", "|" + " --- |" * (head.count("|") + 1), *rows]


def _cases(results: Mapping[str, Any]) -> Iterable[str]:
    for case, case_runs in results["cases"].items():
        ours = median_of(case_runs[OURS], "running")
        for variant, runs in case_runs.items():
            cells = [spread([run[name] for run in runs]) for name in (*STAGES, "cpu")]
            yield f"| {case} | {variant} | {' | '.join(cells)} | {median_of(runs, 'running') / ours:.2f} |"


def _other_results(results: Mapping[str, Any]) -> Iterable[str]:
    cancelled, exited = (
        {variant: [pair[position] for pair in pairs] for variant, pairs in results["cancel"].items()}
        for position in (0, 1)
    )
    groups = {
        "image, MB": {variant: [size] for variant, size in results["images"].items()},
        "memory in addition to the engine's (PSS), MB": results["memory"],
        "Cancel to Cancelled, s": cancelled,
        "Cancel to the container's end, s": exited,
    }
    for title, group in groups.items():
        for variant, values in group.items():
            yield f"| {title} | {variant} | {spread(values)} |"


def _network(results: Mapping[str, Any]) -> Iterable[str]:
    for variant, running, ratios in network_rows(results["network"]):
        yield f"| {variant} | {spread(running)} | {median(ratios):.2f} |"


def _crowds(results: Mapping[str, Any]) -> Iterable[str]:
    """A row for each crowd of each variant. All but the floor started with an empty volume."""
    for count, crowds in results["crowd"].items():
        for variant, crowd in crowds.items():
            built = f"{crowd['builds']:.0f}" if variant == OURS else ""
            seconds = f"{crowd['seconds']:.1f}"
            if crowd["completed"] < int(count):
                seconds = f"{crowd['completed']:.0f} Completed after {crowd['seconds']:.0f}"
            yield f"| {count} | {variant} | {seconds} | {built} |"


def bars(cases: Mapping[str, CaseRuns]) -> Iterable[Bar]:
    """A bar for each variant of each case: our phases, the rest until Running, the flow, and the container's end."""
    for case, case_runs in cases.items():
        for variant, runs in case_runs.items():
            phases = {phase: median(run["phases"].get(phase, 0) for run in runs) for phase in runs[0]["phases"]}
            running, completed, exited = (median_of(runs, stage) for stage in STAGES)
            rest = {"until Running": running - sum(phases.values())}
            yield Bar(case, variant, {**phases, **rest, "flow": completed - running, "end": exited - completed})


def median_of(runs: Sequence[Mapping[str, Any]], name: str) -> float:
    """The median of one value over some runs."""
    return median(run[name] for run in runs)


def median(values: Iterable[float]) -> float:
    """The median of some values, which may be an iterator."""
    return statistics.median(list(values))


def spread(values: Sequence[float]) -> str:
    """The median with its quartiles, or the only value."""
    if len(values) < 2:  # noqa: PLR2004 (a single value has no quartiles)
        return f"{values[0]:.2f}"
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} ({first:.2f} to {third:.2f})"
