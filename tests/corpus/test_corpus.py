"""Every project of tests/projects: what plain uv makes of it, we do too, except for the differences that are listed."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_uv.settings import Settings
from tests.corpus.conftest import Corpus, Outcome
from tests.corpus.projects import PROJECTS, Case, CorpusProject, corpus_projects, elsewhere

DECLARED = [*corpus_projects()]
CASES = [(project, case) for project in DECLARED for case in project.cases]
FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
RUN = [(project, case) for project, case in CASES if FULL or not project.needs]

COMPILED = [project for project in DECLARED if project.needs]
PLAIN_START = {"EARLY_ENGINE": "false", "IMPORT_BUNDLE": "false"}
BUILD_FAILED = "error[project-build-failed]: sums could not be built:"


def differences(uv: Outcome, us: Outcome) -> list[str]:
    """What is so only with uv, and only here; if just one of them runs the flow, the list says which does not."""
    if bool(uv.facts) != bool(us.facts):
        return ["only uv: it fails" if us.facts else "only here: it fails"]
    only = {"only uv": uv.facts - us.facts, "only here": us.facts - uv.facts}
    return [f"{where}: {fact}" for where, facts in only.items() for fact in sorted(facts)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("project", "case"),
    RUN,
    ids=[" ".join([project.name, *project.locks, case.settings]).rstrip() for project, case in RUN],
)
def test_same_as_uv(corpus: Corpus, project: CorpusProject, case: Case) -> None:
    """Modules, packages, entry points and the flow's result are those of plain uv; the log says what was found.

    So they are with an early engine and an import bundle, which the second run leaves for the third.
    """
    checkout = corpus.checkout(project)
    uv = corpus.with_uv(checkout, project, case)
    runs = [corpus.with_us(checkout, project, case, **settings) for settings in (PLAIN_START, {}, {})]
    for us in runs:
        assert us.happens == case.happens, us.output
        assert sorted(us.builds) == sorted(case.builds), us.output
        assert differences(uv, us) == list(case.differs), f"uv:\n{uv.output}\n\nhere:\n{us.output}"
    assert all(f"import {module}" in uv.facts for module in project.modules)
    marks = ("from a BundleLoader", "the engine was started early")
    assert [mark in runs[0].output for mark in marks] == [False, False]
    runs_flow = bool(runs[-1].facts)
    early = runs_flow and not project.plugins and len(os.sched_getaffinity(0)) > 1
    assert [mark in runs[-1].output for mark in marks] == [runs_flow, early], us.output


@pytest.mark.timeout(120)
@pytest.mark.parametrize("project", COMPILED[: None if FULL else 1], ids=lambda project: project.name)
def test_missing_programs(corpus: Corpus, project: CorpusProject, tmp_path: Path) -> None:
    """Without what a build needs, as in our images, the error names them and the way to an image with them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("env", "git", "sh", "sync", "uname", "uv"):
        (programs / name).symlink_to(str(shutil.which(name, path=corpus.environ["PATH"])))
    bare = replace(corpus, environ={**corpus.environ, "PATH": str(programs)})
    us = bare.with_us(corpus.checkout(project), project, project.cases[0])
    assert re.fullmatch(rf"{re.escape(BUILD_FAILED)} .+ is missing\.", us.happens), us.output
    assert "hint: Build an image FROM this one with `apt-get install" in us.output


def test_every_project_is_declared() -> None:
    """Each folder is in the corpus, or is listed with the reason why not."""
    folders = {path.name for path in PROJECTS.iterdir() if path.is_dir()}
    assert {*(project.name for project in DECLARED), *elsewhere()} == folders


def test_declarations_are_complete() -> None:
    """Each difference has a reason, and each setting exists and changes something."""
    settings = {name for item in Settings.__dataclass_fields__.values() for name in item.metadata.get("names", ())}
    for project, case in CASES:
        first = project.cases[0]
        assert bool(case.differs) == bool(case.reason), project.name
        assert {f"PREFECT_UV_{name}" for name in case.variables} <= settings, project.name
        assert bool(case.variables) == (case is not first), project.name
        assert case is first or case.outcome != first.outcome, f"{project.name} {case.settings}"
