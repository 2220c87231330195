#!/usr/bin/env python
"""Generate tables, listings and versions in the documentation from the code. `--check` only compares.

A table is between two markers, `<!-- generated: NAME -->` and `<!-- end: NAME -->`. To add one, write a function here,
add it to TABLES, and put the two markers into the page. Versions are written by `docs/pins.py`.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "entrypoint" / "src")]

from docs.markdown import table  # noqa: E402
from docs.pins import images, pinned, pinned_pages  # noqa: E402
from docs.project_shapes import project_shapes, uv_differences  # noqa: E402
from docs.samples import lockfile_missing  # noqa: E402
from docs.workers import workers  # noqa: E402
from prefect_uv.errors import Kind, PrefectUvError  # noqa: E402
from prefect_uv.options.option_parser import SUMMARIES, build_parsers  # noqa: E402
from prefect_uv.settings import Settings, pip_variables, refused_variables, secret_files  # noqa: E402

FIXED_BY: dict[Kind, str] = {"user": "you", "tool": "see the tool's output", "bug": "report it"}
COMMON = (
    "PREFECT_UV_PROJECT",
    "PREFECT_UV_PACKAGE",
    "PREFECT_UV_GROUPS",
    "PREFECT_UV_EXTRAS",
    "PREFECT_UV_EXTRA_PACKAGES",
    "PREFECT_UV_LOCK",
    "PREFECT_UV_PYTHON",
    "PREFECT_UV_INSTALL_PROJECT",
    "PREFECT_UV_OFFLINE",
    "PREFECT_UV_CACHE_LIMIT",
)
"""The settings of the README's short table."""


def settings() -> str:
    """All variables, in the order of their declarations."""
    return table(("Variable", "Default", "Meaning"), map(_setting, _declared()))


def common_settings() -> str:
    """The ten variables that people use, in the order of COMMON."""
    declared = {item.metadata["names"][0]: item for item in _declared()}
    rows = (_setting(declared[name]) for name in COMMON)
    return table(("Variable", "Meaning"), ((name, meaning) for name, _, meaning in rows))


def pip_variables_table() -> str:
    """pip's variables and the variables of uv that they become."""
    rows = [
        (f"`{row.pip}`", f"`{row.uv}`", ", ".join(f"`{name}`" for name in (row.uv, *row.also)))
        for row in pip_variables.PIP_VARIABLES
    ]
    rows += [(f"`{name}`", "", f"never used: {reason}") for name, reason in pip_variables.WITHOUT_COUNTERPART.items()]
    return table(("pip's variable", "is for uv", "unless one of these is set"), rows)


def secret_files_table() -> str:
    """The variables whose values may be read from files."""
    names = (
        *secret_files.API_SECRETS,
        *secret_files.INDEX_SECRETS,
        "UV_INDEX_<NAME>_USERNAME",
        "UV_INDEX_<NAME>_PASSWORD",
    )
    return table(("Variable", "From a file"), ((f"`{name}`", f"`{name}{secret_files.SUFFIX}`") for name in names))


def refused_variables_table() -> str:
    """The variables with which no start works."""
    rows = [(f"`{name}`", f"it {effect}") for name, effect in refused_variables.REFUSED_VARIABLES.items()]
    names = ", ".join(f"`{name}`" for name in refused_variables.LIBRARY_VARIABLES)
    return table(
        ("Variable", "Why"), [*rows, (f"{names} with a path that does not exist", "the linker would ignore it")]
    )


def errors() -> str:
    """Every error, ordered by exit code."""
    rows = (
        (f"`{error.exit_code}`", f"`{error.slug}`", inspect.getdoc(error) or "", FIXED_BY[error.kind])
        for error in sorted(_catalogue(PrefectUvError), key=lambda error: error.exit_code)
    )
    return table(("Exit code", "Slug", "When", "Fixed by"), rows)


def commands() -> str:
    """What each command does."""
    return table(("Command", "What it does"), ((f"`prefect-uv {verb}`", text) for verb, text in SUMMARIES.items()))


def options() -> str:
    """Every option, with the commands that take it."""
    takers: dict[tuple[str, str], list[str]] = {}
    parsers = dict(build_parsers()[1])
    types = parsers.pop("template")._actions[-1].choices or {}  # noqa: SLF001 (argparse has no public list)
    parsers |= {f"template {name}": parser for name, parser in dict(types).items()}
    for verb, parser in parsers.items():
        for action in parser._actions:  # noqa: SLF001 (argparse has no public list of what a parser accepts)
            if action.dest != "help":
                takers.setdefault(_option(action), []).append(f"`{verb}`")
    rows = ((option, ", ".join(verbs), meaning) for (option, meaning), verbs in takers.items())
    return table(("Option", "Commands", "Meaning"), rows)


def _option(action: argparse.Action) -> tuple[str, str]:
    """How an option or an argument is written, and its description."""
    if isinstance(action.choices, dict):
        return " ".join(f"`{name}`" for name in action.choices), "What to do; `list` if it is left out."
    value = action.metavar if action.nargs != 0 else ""
    words = filter(None, [*action.option_strings, str(value or "")])
    text, _, variable = str(action.help).rstrip("]").replace("%%", "%").partition(" [")
    return f"`{' '.join(words)}`", f"{text} (`{variable}`)" if variable else f"{text[0].upper()}{text[1:]}."


def supervision() -> str:
    """What the engine tests observed: a row for each case, a column for each version of Prefect."""
    results = json.loads((ROOT / "docs" / "reference" / "supervision.json").read_text())
    versions = sorted({version for case in results.values() for version in case}, key=_numbers)
    rows = ((case, *(_result(runs.get(version)) for version in versions)) for case, runs in results.items())
    return table(("Case", *versions), rows)


def supervision_costs() -> str:
    """What the supervisor costs, compared with Prefect's own path."""
    figures = json.loads((ROOT / "docs" / "reference" / "supervision-costs.json").read_text())
    rows = ((text, *(f"{path[name]:g}" for path in figures.values())) for name, text in COSTS.items())
    return table(("", *(f"`{path}`" for path in figures)), rows)


def _listing(path: Path) -> str:
    """A file of the repository as a block of code."""
    return f"```{'yaml' if path.suffix else 'dockerfile'}\n{path.read_text()}```"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")] if version[0].isdecimal() else []


def _result(run: dict[str, Any] | None) -> str:
    if run is None:
        return ""
    return "{state} {on_cancellation}/{on_crashed}, {code}, {seconds} s".format(**run)


COSTS = {
    "cancelled_seconds": "from Cancel to Cancelled, median, s",
    "ended_seconds": "from Cancel to the container's end, median, s",
    "rounds": "runs",
    "requests_per_minute": "HTTP requests a minute while the flow sleeps, engine included",
    "pss_mb": "memory of the process above the engine (PSS), MB",
    "cpu_ms_per_minute": "its CPU time a minute, ms",
}

TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "common-settings"): common_settings,
    ("README.md", "images"): images,
    ("README.md", "error"): lockfile_missing,
    ("docs/reference/settings.md", "settings"): settings,
    ("docs/reference/settings.md", "pip-variables"): pip_variables_table,
    ("docs/reference/settings.md", "secret-files"): secret_files_table,
    ("docs/reference/settings.md", "refused-variables"): refused_variables_table,
    ("docs/reference/errors.md", "errors"): errors,
    ("docs/reference/project-shapes.md", "project-shapes"): project_shapes,
    ("docs/reference/project-shapes.md", "uv-differences"): uv_differences,
    ("docs/reference/command-line.md", "commands"): commands,
    ("docs/reference/command-line.md", "options"): options,
    ("docs/reference/supervision.md", "supervision"): supervision,
    ("docs/reference/supervision.md", "supervision-costs"): supervision_costs,
    ("docs/reference/workers.md", "workers"): workers,
    **{
        (str(path.with_name("README.md").relative_to(ROOT)), path.name): partial(_listing, path)
        for name in ("prefect.yaml", "Dockerfile")
        for path in sorted(ROOT.glob(f"examples/*/{name}"))
    },
    **{
        ("docs/how-to/bake.md", name): partial(_listing, ROOT / name)
        for name in ("examples/baked/Dockerfile", "examples/sealed/Dockerfile")
    },
}


def _declared() -> Iterator[Field[Any]]:
    return (item for item in fields(Settings) if item.metadata)


def _setting(item: Field[Any]) -> tuple[str, str, str]:
    name, *others = item.metadata["names"]
    also = " or ".join(f"`{other}`" for other in others)
    meaning = item.metadata["help"] + (f" If it is not set, {also} is read." if also else "")
    return f"`{name}`", _default(item.default), meaning


def _default(value: object) -> str:
    if value is None or value in ("", ()):
        return ""
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`"


def _catalogue(error: type[PrefectUvError]) -> Iterator[type[PrefectUvError]]:
    for child in error.__subclasses__():
        yield child
        yield from _catalogue(child)


def generated(page: str, text: str) -> str:
    """The page's text with current tables and versions."""
    for (owner, name), render in TABLES.items():
        if owner == page:
            text = _fill(page, text, name, render())
    return pinned(text) if page in pinned_pages() else text


def _fill(page: str, text: str, name: str, content: str) -> str:
    before, after = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    if text.count(before) != 1 or text.count(after) != 1:
        message = f"{page} needs `{before}` and `{after}` once each."
        raise SystemExit(message)
    return text[: text.index(before)] + f"{before}\n{content}\n{after}" + text[text.index(after) + len(after) :]


def _difference(page: str, old: str, new: str) -> Iterator[str]:
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    return difflib.unified_diff(before, after, page, f"{page}, generated")


def main() -> int:
    """Write every page, or print the differences with `--check`; return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and show what would change")
    check = parser.parse_args().check
    drifted = False
    for page in sorted({page for page, _ in TABLES} | pinned_pages()):
        path = ROOT / page
        old = path.read_text()
        new = generated(page, old)
        if check:
            drifted |= old != new
            sys.stdout.writelines(_difference(page, old, new))
        elif old != new:
            path.write_text(new)
    return int(drifted)


if __name__ == "__main__":
    sys.exit(main())
