"""Staying as the engine's parent: what happens to the run and to us while it runs becomes one orderly end."""

from __future__ import annotations

import signal
import time

from prefect_uv.api.flow_run import FlowRun, State
from prefect_uv.api.transport import RetryPolicy
from prefect_uv.engine.conclusion import Conclusion, Ending
from prefect_uv.engine.control_channel import ControlChannel
from prefect_uv.engine.engine_process import EndReported, EngineProcess, StateChanged, StopSignalled
from prefect_uv.engine.launch import Launch
from prefect_uv.errors import PrefectUvError
from prefect_uv.session import Session

SIGNAL_EXIT = 128
OWN_END_SECONDS = 5.0
OVERTIME = 10
STATE_POLICY = RetryPolicy(1, 3.0)
NOTHING_HANDLED = "PREFECT_UV_SUPERVISE=false: cancellation, crashes and evictions of this run are not handled"


def supervise(launch: Launch, session: Session) -> int:
    """Start the engine and see the run to its end; with PREFECT_UV_SUPERVISE=false, become the engine.

    Returns:
        the container's exit code.
    """
    if not session.settings.supervise:
        session.log.warning(NOTHING_HANDLED)
        session.log.close()
        launch.replace()
    if session.flow_run is None:
        return supervise_command(launch, session)
    return Supervisor(launch, session, session.flow_run).run()


def supervise_command(launch: Launch, session: Session) -> int:
    """Start any command, hand the first signal to stop on to it, leave nothing of it behind.

    Returns:
        its exit code; 128 + n when signal n killed it.
    """
    session.stop_watching()
    process = EngineProcess(launch, {})
    while process.code is None:
        if isinstance(process.next(), StopSignalled):
            process.terminate()
    return process.clear()


class Supervisor:
    """One run: its engine, the channel to it, and the reason why it is being stopped."""

    def __init__(self, launch: Launch, session: Session, flow_run: FlowRun) -> None:
        self._launch = launch
        self._session = session
        self._flow_run = flow_run
        self._log = session.log
        self._control = ControlChannel(lambda: self._engine.post(EndReported()))
        self._engine = EngineProcess(launch, self._control.environ)
        session.status = self._status
        self._grace = session.settings.cancel_grace
        self._order = ""
        self._seen: State | None = None
        self._acknowledged = False
        self._signum = 0

    def run(self) -> int:
        """From the engine's start to the container's exit code."""
        while self._engine.code is None and not self._order:
            event = self._engine.next()
            if isinstance(event, StopSignalled):
                self._ordered(event.signum)
            elif isinstance(event, StateChanged):
                self._changed()
            elif isinstance(event, EndReported):
                self._order, self._grace = "end", OVERTIME * self._grace
        if not self._engine.finish(self._grace):
            self._log.warning(f"the engine and what it started were killed: no end within {self._grace:g} s")
        self._session.stop_watching()
        self._control.close()
        code = Conclusion(self._ending(), self._flow_run, self._launch, self._log).reach()
        return self._exit_code(code)

    def _ending(self) -> Ending:
        return Ending(
            self._engine.code or 0,
            self._engine.tail.decode(errors="replace"),
            self._order,
            self._seen,
            self._acknowledged,
            self._control.aborted,
        )

    def _exit_code(self, code: int) -> int:
        """Where a signal to us has made the run crash, that signal's, whatever the engine made of it."""
        return SIGNAL_EXIT + self._signum if self._signum and code else code

    def _changed(self) -> None:
        """The watch has seen the run Cancelling, or over while the engine still runs."""
        state = self._session.watch.state if self._session.watch else None
        if state is None or not (state.cancelling or state.type == "CANCELLED"):
            return
        if state.cancelling or not self._ends_by_itself():
            self._stop("cancel", state)

    def _ends_by_itself(self) -> bool:
        """A flow may return Cancelled itself: then its engine is about to end."""
        deadline = time.monotonic() + OWN_END_SECONDS
        while self._engine.code is None:
            if not isinstance(self._engine.next(deadline), StateChanged | EndReported):
                break
        return self._engine.code is not None

    def _ordered(self, signum: int) -> None:
        """The container is to stop: cancelled meanwhile, evicted, or stopped by hand?"""
        name = signal.Signals(signum).name
        state = self._look()
        if state is not None and (state.cancelling or state.type == "CANCELLED"):
            self._log.info(f"{name} arrived, and the flow run is {state.name}")
            self._stop("cancel", state)
        elif state is not None and state.final and state.type != "CRASHED":
            self._log.info(f"{name} arrived, and the flow run is {state.name} already")
            self._order = "end"
        elif self._session.settings.sigterm:
            self._log.info(f"{name} arrived: {self._session.settings.sigterm}")
            self._stop(self._session.settings.sigterm, state)
        else:
            self._log.info(f"{name} arrived: the engine is asked to end")
            self._order, self._signum = name, signum
            self._engine.terminate()

    def _stop(self, order: str, state: State | None) -> None:
        """Intent, acknowledgement, one SIGTERM; SIGKILL at once where a SIGTERM would be reported as a crash."""
        self._order, self._seen = order, state
        self._log.info(f"stopping the engine ({order})")
        answer = self._control.send(order) if self._launch.engine.understands(order) else "unheard"
        if answer == "concluded":
            return
        self._acknowledged = answer == "acknowledged"
        if order == "reschedule":
            self._reschedule()
        if self._acknowledged or self._launch.engine.is_silent_on_sigterm:
            self._engine.terminate()
        else:
            self._engine.kill()

    def _reschedule(self) -> None:
        """Before the engine is stopped: the container may not have long to live."""
        try:
            state = self._flow_run.reschedule()
        except PrefectUvError as error:
            self._log.warning(f"the flow run could not be rescheduled: {error}")
            return
        self._log.info(f"flow run {self._flow_run.name} is {state.name}")

    def _look(self) -> State | None:
        """The run's state, unless the API does not give it at once."""
        try:
            return self._flow_run.state(STATE_POLICY)
        except PrefectUvError:
            return None

    def _status(self) -> str:
        """Where we stand, for SIGUSR1."""
        channel = "connected" if self._control.connected else "not connected"
        order = f", stopping it ({self._order})" if self._order else ""
        return f"engine {self._engine.pid} runs{order}, control channel {channel}"
