"""The phase `ask`: the API is asked for the flow run and its deployment, and the run is claimed and watched."""

from __future__ import annotations

from functools import partial

from prefect_uv.api.cancellation_watch import CancellationWatch
from prefect_uv.api.client import ApiClient, Json
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.server_version import ServerVersion
from prefect_uv.errors import PrefectUvError
from prefect_uv.log.lasting_phase import pending_state
from prefect_uv.log.progress import logging_progress
from prefect_uv.processes.signals import Terminated, wake_main_thread
from prefect_uv.session import Session

LATE_POLICY = RetryPolicy(1, 3.0, 4.0)


def ask(session: Session, *, execute: bool = False) -> Json:
    """Ask the API for the flow run and its deployment; from here on our lines go to the run's log.

    Args:
        session: the session of the start.
        execute: the run will be executed, so another container that does so is waited for.

    Returns:
        the run's deployment; without a flow run, the one that was given.
    """
    if not session.settings.flow_run_id:
        return session.deployment
    deployment = claim_flow_run(session, execute=execute, deployment_id=session.settings.deployment_id).deployment()
    if execute and session.api:
        session.server_version = ServerVersion.of_use(session.settings, session.api)
    return deployment


def claim_flow_run(session: Session, *, execute: bool = True, deployment_id: str = "") -> FlowRun:
    """Ask the API for the flow run, and claim it; a run that is over is refused.

    Args:
        session: the session of the start.
        execute: the run will be executed, so another container that does so is waited for.
        deployment_id: the deployment that will be asked for afterwards, if it is known; empty if not.
    """
    flow_run = _read_flow_run(session, deployment_id=deployment_id)
    while execute and not session.claim.take():
        session.claim.outwait(session.log.info)
        flow_run.read()
    if session.claim.take():
        flow_run.refuse_when_over()
        doing = partial(pending_state, session.log)
        session.watch = CancellationWatch(session.settings, flow_run, wake_main_thread, doing)
        session.cleanup.callback(session.stop_watching)
    else:
        session.log.info(f"another container executes flow run {flow_run.name}, whose state is left alone")
    return flow_run


def find_flow_run(session: Session, reason: BaseException) -> FlowRun | None:
    """The flow run whose state a failed start sets; it is asked for now if that was not done before.

    After a signal there are only a few seconds, and an answer that did not come in time is asked for again.
    """
    signalled = isinstance(reason, Terminated)
    known = session.settings.flow_run_id and session.settings.api_url
    if session.flow_run is None and known and (signalled or not session.asked):
        try:
            _read_flow_run(session, LATE_POLICY if signalled else None)
        except PrefectUvError as error:
            session.log.warning(f"the flow run's state cannot be set: {error}")
    return session.flow_run


def _read_flow_run(session: Session, policy: RetryPolicy | None = None, deployment_id: str = "") -> FlowRun:
    session.asked = True
    settings = session.settings
    session.api = ApiClient(settings)
    first = RetryPolicy(settings.api_retries, settings.api_timeout, patient=settings.api_wait)
    with logging_progress(session.log, f"waiting for the API at {settings.api_url}"):
        session.flow_run = FlowRun(session.api, settings.flow_run_id, policy or first, deployment_id)
    session.log.connect(session.api.send_logs, session.flow_run.id)
    return session.flow_run
