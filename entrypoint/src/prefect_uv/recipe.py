"""The recipe: what happens between the start of the container and the flow, one line a phase."""

from __future__ import annotations

from dataclasses import replace

from prefect_uv.bake import announce, bake, with_baked_selection
from prefect_uv.code import importable
from prefect_uv.doctor import doctor
from prefect_uv.engine.launch import Ready, launch_command, launch_flow
from prefect_uv.engine.supervise import attend, supervise
from prefect_uv.project import Project, extras, look, tell
from prefect_uv.pull import Workspace, pull
from prefect_uv.session import Session
from prefect_uv.store import Environment, Store
from prefect_uv.store.cache import cache


def ready(session: Session) -> Ready:
    """Code and environment, in the order of the phases."""
    deployment = session.phase("ask", session.ask)
    announce(session.settings, session.log)
    workspace = session.phase("pull", pull, deployment, session.settings, session.log, session.api)
    project = session.phase("look", find, session, workspace, deployment.get("entrypoint"))
    store = Store(session.settings, session.log)
    environment = session.phase("sync", install, session, store, project, workspace)
    code = session.phase("code", importable, session, project, environment)
    keeper = store.keeping(environment)
    return Ready(session.settings, workspace, environment, code, keeper, deployment.get("entrypoint"))


def find(session: Session, workspace: Workspace, entrypoint: str | None) -> Project:
    """The flow's project; where the deployment selects nothing of it, what the image was baked with is selected."""
    project = look(workspace.directory, entrypoint, session.settings)
    settings = with_baked_selection(session.settings, project, session.log)
    if settings is not session.settings:
        project = look(workspace.directory, entrypoint, settings)
    return tell(session.log, project)


def install(session: Session, store: Store, project: Project, workspace: Workspace) -> Environment:
    """The project's environment, or one that also has what the deployment and its pull steps want."""
    wanted = extras(workspace.directory, project, session.settings, session.extra_packages())
    if wanted.line:
        session.log.info(wanted.line)
    environment = store.environment(project)
    return store.extended(environment, replace(wanted, files=(*wanted.files, *workspace.requirements)), project)


def run(session: Session) -> int:
    """Execute the flow run."""
    session.require_flow_run()
    flow = ready(session)
    launch = session.phase("launch", launch_flow, session, flow)
    session.log.summary({"sync": flow.environment.note})
    with flow.keeper:
        return supervise(launch, session)


def sync(session: Session) -> int:
    """Everything but the flow: for an init container, or to fill the cache volume beforehand."""
    flow = ready(session)
    session.log.summary({"sync": flow.environment.note})
    with flow.keeper:
        return 0


def execute(session: Session) -> int:
    """Run a command in the flow's environment."""
    flow = ready(session)
    with flow.keeper:
        return attend(launch_command(flow, session.arguments), session)


VERBS = {"run": run, "sync": sync, "exec": execute, "bake": bake, "doctor": doctor, "cache": cache}
