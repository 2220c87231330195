"""The recipe: what happens between the container's start and the flow, with one line per phase."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect_uv.errors import UsageError
from prefect_uv.processes.background_import import importing_in_background
from prefect_uv.processes.signals import call_in_thread
from prefect_uv.read_only_root import with_writable_directories
from prefect_uv.session import Session

if TYPE_CHECKING:
    from prefect_uv.api.client import Json
    from prefect_uv.engine.launch import PreparedFlow
    from prefect_uv.engine.start_up.early_engine import EarlyEngine
    from prefect_uv.pull import Checkout

LATER_PHASES = ("prefect_uv.pull", "prefect_uv.preparation", "prefect_uv.engine.supervisor")


def prepare_flow(session: Session, *, execute: bool = False) -> PreparedFlow:
    """Get the code and its environment; the later phases are imported while we wait for the API and git."""
    settings = replace(session.settings, replay_failures=execute)
    session.settings = with_writable_directories(settings, session.log, session.cleanup)
    early = call_in_thread(_start_early, session) if execute else None
    from prefect_uv.session.run_lookup import ask  # noqa: PLC0415 (the early engine does not wait for what asks the API)

    with importing_in_background(*LATER_PHASES):
        deployment = session.phase("ask", ask, session, execute=execute)
        checkout = session.phase("pull", _pull, session, deployment, execute=execute)
        if session.flow_run:
            session.log.info(f"flow run {session.flow_run.name}: {deployment.get('entrypoint')} {checkout.origin}")
    from prefect_uv.preparation import prepare  # noqa: PLC0415 (imported in the background)

    return prepare(session, deployment, checkout, early)


def _start_early(session: Session) -> EarlyEngine | None:
    """Start an engine before its run is known, if that is of use; whatever goes wrong, the run gets another one."""
    with suppress(Exception):
        from prefect_uv.engine.start_up.early_engine import start_early  # noqa: PLC0415 (only to execute a run)

        if early := start_early(session.settings, session.cache):
            session.cleanup.callback(early.discard)
            return early
    return None


def _pull(session: Session, deployment: Json, *, execute: bool) -> Checkout:
    """Get the code, from an init container if it has handed it over; hand it over in such a container."""
    from prefect_uv.pull import pull  # noqa: PLC0415 (imported in the background)

    settings, log = session.settings, session.log
    if session.flow_run is None or not settings.handover_dir.is_dir():
        return pull(deployment, settings, log, session.api)
    from prefect_uv.pull.handover import Handover  # noqa: PLC0415 (few pods have such a directory)

    handover = Handover.of(session.flow_run, deployment, settings, log)
    if execute:
        return handover.take() or pull(deployment, settings, log, session.api)
    return handover.give(pull(deployment, settings, log, session.api, handover.make_base()))


def _chosen(session: Session) -> Session:
    """The session of the deployment that an option names, if there is one."""
    if not session.options.deployment:
        return session
    from prefect_uv.deployments.deployed_sessions import named_session  # noqa: PLC0415 (workers start us without words)

    return named_session(session)


def run(session: Session) -> int:
    """Execute the flow run."""
    session.require_flow_run()
    flow = prepare_flow(session, execute=True)
    from prefect_uv.engine.launch import launch_flow  # noqa: PLC0415 (imported in the background)
    from prefect_uv.engine.start_up.early_engine import keep_if_fit  # noqa: PLC0415
    from prefect_uv.engine.supervisor import supervise  # noqa: PLC0415

    launch = session.phase("launch", launch_flow, session.flow_run, flow)
    launch = keep_if_fit(launch, session.settings, session.cache, session.log)
    session.log.summary({"sync": flow.environment.note})
    with flow.maintenance, session.recording():
        return supervise(launch, session)


def sync(session: Session) -> int:
    """Do everything except running the flow: for an init container, or to fill the cache volume in advance."""
    chosen = _chosen(session)
    flow = prepare_flow(chosen)
    session.log.summary({"sync": flow.environment.note})
    with flow.maintenance, chosen.recording():
        return 0


def execute(session: Session) -> int:
    """Run any command in the flow's environment.

    Raises:
        UsageError: no command was given.
    """
    if not session.options.command:
        raise UsageError("`prefect-uv exec` has no command.", hint="prefect-uv exec [OPTION …] -- COMMAND [ARGUMENT …]")
    flow = prepare_flow(_chosen(session))
    from prefect_uv.engine.launch import launch_command  # noqa: PLC0415 (imported in the background)
    from prefect_uv.engine.supervisor import supervise_command  # noqa: PLC0415

    session.claim.release()
    with flow.maintenance:
        return supervise_command(launch_command(flow, session.options.command), session)
