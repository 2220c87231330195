"""From the pulled code to what a process of the flow needs: the project, its environment, its own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prefect_uv.bake.record import announce, with_baked_selection
from prefect_uv.code import importable
from prefect_uv.engine.launch import Ready
from prefect_uv.project import Project, extras, look, tell
from prefect_uv.pull import Workspace
from prefect_uv.session import Session
from prefect_uv.store import Environment, Store


def prepare(session: Session, deployment: Mapping[str, Any], workspace: Workspace) -> Ready:
    """Find, install, import: in the order of the phases."""
    announce(session.settings, session.log)
    project = session.phase("look", _find, session, workspace, deployment.get("entrypoint"))
    store = Store(session.settings, session.log)
    environment = session.phase("sync", _install, session, store, project, workspace)
    code = session.phase("code", importable, session, project, environment)
    keeper = store.keeping(environment)
    return Ready(session.settings, workspace, environment, code, keeper, deployment.get("entrypoint"))


def _find(session: Session, workspace: Workspace, entrypoint: str | None) -> Project:
    """The flow's project; where the deployment selects nothing of it, what the image was baked with is selected."""
    project = look(workspace.directory, entrypoint, session.settings)
    settings = with_baked_selection(session.settings, project, session.log)
    if settings is not session.settings:
        project = look(workspace.directory, entrypoint, settings)
    return tell(session.log, project)


def _install(session: Session, store: Store, project: Project, workspace: Workspace) -> Environment:
    """The project's environment, or one that also has what the deployment and its pull steps want."""
    wanted = extras(workspace.directory, project, session.settings, session.extra_packages())
    if wanted.line:
        session.log.info(wanted.line)
    environment = store.environment(project)
    return store.extended(environment, replace(wanted, files=(*wanted.files, *workspace.requirements)), project)
