"""From the pulled code to what a process of the flow needs: the project, its environment, its own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prefect_uv.bake.bake_record import announce, with_baked_selection
from prefect_uv.engine.launch import PreparedFlow
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.project import Project, find_extra_packages, find_project, log_project
from prefect_uv.project_code import ProjectCode
from prefect_uv.pull import Checkout
from prefect_uv.session import Session


def prepare(session: Session, deployment: Mapping[str, Any], checkout: Checkout) -> PreparedFlow:
    """Find, install, import: in the order of the phases."""
    announce(session.settings, session.log)
    project = session.phase("look", _find_flow_project, session, checkout, deployment.get("entrypoint"))
    store = EnvironmentStore(session.settings, session.log)
    environment = session.phase("sync", _environment, session, store, project, checkout)
    project_code = ProjectCode(session.settings, session.log, session.scratch)
    code = session.phase("code", project_code.importable, project, environment)
    maintenance = store.maintenance(environment)
    return PreparedFlow(
        session.settings.launcher, checkout, environment, code, maintenance, deployment.get("entrypoint")
    )


def _find_flow_project(session: Session, checkout: Checkout, entrypoint: str | None) -> Project:
    """The flow's project; where the deployment selects nothing of it, what the image was baked with is selected."""
    project = find_project(checkout.directory, entrypoint, session.settings)
    settings = with_baked_selection(session.settings, project, session.log)
    if settings is not session.settings:
        project = find_project(checkout.directory, entrypoint, settings)
    return log_project(session.log, project)


def _environment(session: Session, store: EnvironmentStore, project: Project, checkout: Checkout) -> Environment:
    """The project's environment, or one that also has what the deployment and its pull steps want."""
    wanted = find_extra_packages(checkout.directory, project, session.settings, session.extra_packages())
    if wanted.line:
        session.log.info(wanted.line)
    environment = store.environment(project)
    return store.extend(environment, replace(wanted, files=(*wanted.files, *checkout.requirements)), project)
