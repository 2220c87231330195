"""The tables of the corpus: every shape of project, what happens with it, and where that differs from plain uv.

`tests/corpus` runs the corpus, so the tables say what happens and not what was meant to.
"""

from __future__ import annotations

from docs.markdown import table
from tests.corpus.projects import Case, CorpusProject, corpus_projects

PROJECTS = "../../tests/projects"
DIFFERENCES = "[differences](#differences-from-uv)"


def project_shapes() -> str:
    """A row for each project, and one for each setting that changes what happens with it."""
    rows = (
        (_link(project) if case is project.cases[0] else "", _settings(case), _said(case), _compared(case))
        for project in corpus_projects()
        for case in project.cases
    )
    return table(("Project", "Setting", "The log says", "The result is that of"), rows)


def uv_differences() -> str:
    """A row for each project that differs from plain uv."""
    rows = (
        (_link(project), _only(case, "only uv: "), _only(case, "only here: "), case.reason)
        for project in corpus_projects()
        for case in project.cases
        if case.differs
    )
    return table(("Project", "Only with uv", "Only here", "Why"), rows)


def _link(project: CorpusProject) -> str:
    needs = f", needs {project.needs}" if project.needs else ""
    return f"[{project.shape}]({PROJECTS}/{project.name}){needs}"


def _settings(case: Case) -> str:
    return f"`{case.settings}`" if case.settings else ""


def _said(case: Case) -> str:
    quote = "``" if "`" in case.happens else "`"
    return f"{quote}{case.happens}{quote}" + (f"; built: {', '.join(case.builds)}" if case.builds else "")


def _compared(case: Case) -> str:
    return f"`uv {case.uv}`" + (f", with {DIFFERENCES}" if case.differs else "")


def _only(case: Case, where: str) -> str:
    return "<br>".join(fact.removeprefix(where) for fact in case.differs if fact.startswith(where))
