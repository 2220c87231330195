"""The declarations of the corpus: what tests/projects/corpus.toml says of each project."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECTS = Path(__file__).parent.parent / "projects"


@dataclass(frozen=True)
class Case:
    """A way to run a project, and what happens then.

    Attributes:
        happens: what the log says: the line about the project that was found, or an error's slug and headline.
        variables: job variables without their prefix.
        uv: what does the same with plain uv: `run …`, `sync --script …` or `pip install …`.
        builds: the local packages that are built for the run.
        differs: what is so only here, or only with uv, in the words of the test.
        reason: why.
    """

    happens: str
    variables: Mapping[str, str] = field(default_factory=dict)
    uv: str = "run --locked"
    builds: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    reason: str = ""

    @property
    def settings(self) -> str:
        """The job variables as one sets them."""
        return ", ".join(f"PREFECT_UV_{name}={value}" for name, value in self.variables.items())

    @property
    def outcome(self) -> tuple[str, ...]:
        """What a setting can change."""
        return (self.happens, self.uv, *self.builds, *self.differs)


@dataclass(frozen=True)
class CorpusProject:
    """A project of tests/projects.

    Attributes:
        name: its folder.
        shape: what kind of project it is, in words.
        cases: how it is run: first without settings, then with some.
        entrypoint: the deployment's.
        locks: the directories and scripts to lock.
        adds: a dependency that is added after locking.
        modules: modules that a build makes importable under names that are no paths in the checkout.
        plugins: its own metadata has entry points that importing Prefect may ask for, so that no engine is early.
        needs: a program without which it cannot be built, and which no package brings; it is run in the long form only.
    """

    name: str
    shape: str
    cases: tuple[Case, ...]
    entrypoint: str = "flows.py:hello"
    locks: tuple[str, ...] = (".",)
    adds: str = ""
    modules: tuple[str, ...] = ()
    plugins: bool = False
    needs: str = ""


def corpus_projects() -> Iterator[CorpusProject]:
    """Yield the projects, in the order of the table in the documentation."""
    for entry in _document()["project"]:
        first = _case({name: entry.pop(name) for name in Case.__dataclass_fields__ if name in entry})
        others = [_case({"uv": first.uv, **case}) for case in entry.pop("with", ())]
        lists = {name: tuple(entry[name]) for name in ("locks", "modules") if name in entry}
        yield CorpusProject(**{**entry, **lists, "cases": (first, *others)})


def elsewhere() -> dict[str, str]:
    """The projects that are not part of the corpus, with the reasons."""
    return dict(_document()["elsewhere"])


def _case(entry: Mapping[str, Any]) -> Case:
    return Case(**{**entry, **{name: tuple(entry.get(name, ())) for name in ("builds", "differs")}})


def _document() -> dict[str, Any]:
    return tomllib.loads((PROJECTS / "corpus.toml").read_text())
