"""The engine's parent process: every way in which a run can end becomes one orderly end.

The rules are Prefect's own for a SIGTERM, which its `flow-run execute` applies (Prefect 3.8.8, `_termination_intent`):
https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/cli/flow_run.py
"""

from __future__ import annotations

import signal
import time

from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.run_state import State
from prefect_uv.engine.conclusion import Conclusion, Ending
from prefect_uv.engine.control_channel import ControlChannel
from prefect_uv.engine.engine_process import EndReported, EngineProcess, StateChanged, StopSignalled
from prefect_uv.engine.launch import Launch
from prefect_uv.errors import PrefectUvError
from prefect_uv.processes.process_tree import shell_above
from prefect_uv.processes.signals import SIGNAL_EXIT
from prefect_uv.session import Session

SOON_SECONDS = 5.0
REPORTED_END_FACTOR = 10
SHELL_ABOVE = "a shell waits for this run and passes no signal on: a stop of the container kills the flow; write `exec`"
NOTHING_HANDLED = "PREFECT_UV_SUPERVISE=false: cancellation, crashes and evictions of this run are not handled"


def supervise(launch: Launch, session: Session) -> int:
    """Run the engine and see the flow run to its end; with PREFECT_UV_SUPERVISE=false, become the engine instead.

    Returns:
        The container's exit code.
    """
    if not session.settings.supervise:
        session.log.warning(NOTHING_HANDLED)
        if session.recorder:
            session.recorder.finish()
        session.log.close()
        launch.replace()
    if command := shell_above():
        session.log.warning(f"{SHELL_ABOVE} before `prefect` in `{command}`")
    if session.flow_run is None:
        return supervise_command(launch, session)
    return Supervisor(launch, session, session.flow_run).run()


def supervise_command(launch: Launch, session: Session) -> int:
    """Run any command, forward the first signal to stop, and kill what it leaves behind.

    Returns:
        Its exit code, or 128 + n if signal n killed it.
    """
    session.stop_watching()
    process = EngineProcess(launch, {})
    while process.code is None:
        if isinstance(process.next(), StopSignalled):
            process.terminate()
    return process.clear()


class Supervisor:
    """Supervises one flow run: its engine, the control channel, and why the engine is being stopped."""

    def __init__(self, launch: Launch, session: Session, flow_run: FlowRun) -> None:
        self._launch = launch
        self._session = session
        self._flow_run = flow_run
        self._log = session.log
        self._control = ControlChannel(lambda: self._engine.post(EndReported()))
        self._engine = EngineProcess(launch, self._control.environ, flow_run.hurry)
        session.status = self._status
        self._grace = session.settings.cancel_grace
        self._stop_reason = ""
        self._seen: State | None = None
        self._acknowledged = False
        self._handed_on = False
        self._killed_after: float | None = None
        self._signum = 0

    def run(self) -> int:
        """Wait for the run's end, whatever causes it; return the container's exit code."""
        while self._engine.code is None and not self._stop_reason:
            event = self._engine.next()
            if isinstance(event, StopSignalled):
                self._handle_signal(event.signum)
            elif isinstance(event, StateChanged):
                self._handle_state_change()
            elif isinstance(event, EndReported):
                self._stop_reason, self._grace = "end", REPORTED_END_FACTOR * self._grace
                self._session.claim.release()
        self._killed_after = self._engine.finish(self._grace, self._log.info)
        if self._killed_after is not None:
            self._log.warning(f"killed the engine and what it started: it did not end within {self._killed_after:g} s")
        self._session.stop_watching()
        self._control.close()
        code = Conclusion(self._ending(), self._flow_run, self._launch, self._log).report()
        return self._exit_code(code)

    def _ending(self) -> Ending:
        return Ending(
            code=self._engine.code or 0,
            tail=self._engine.tail.decode(errors="replace"),
            stop_reason=self._stop_reason,
            seen=self._seen,
            acknowledged=self._acknowledged,
            aborted=self._control.aborted,
            reported=self._control.reported,
            handed_on=self._handed_on,
            killed_after=self._killed_after,
        )

    def _exit_code(self, code: int) -> int:
        """128 + n if signal n, sent to us, made the run crash; otherwise the given code."""
        return SIGNAL_EXIT + self._signum if self._signum and code else code

    def _handle_state_change(self) -> None:
        """The watch saw the run Cancelling or in a final state; only Cancelled is not left to the engine."""
        state = self._session.watch.state if self._session.watch else None
        if state is None or not (state.cancelling or state.type == "CANCELLED"):
            return
        if state.cancelling or not self._ends_soon():
            self._stop("cancel", state)

    def _ends_soon(self) -> bool:
        """Whether the engine ends within a few seconds: a flow may return Cancelled itself."""
        deadline = time.monotonic() + SOON_SECONDS
        while self._engine.code is None:
            if not isinstance(self._engine.next(deadline), StateChanged | EndReported):
                break
        return self._engine.code is not None

    def _handle_signal(self, signum: int) -> None:
        """Decide what a signal to stop means.

        The run may be cancelled or over already; else PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR decides between
        rescheduling and relinquishing it; else the engine is asked to end, and reports a crash.
        """
        name = signal.Signals(signum).name
        state = self._read_state()
        if state is not None and (state.cancelling or state.type == "CANCELLED"):
            self._log.info(f"{name} arrived, and the flow run is {state.name}")
            self._stop("cancel", state)
        elif state is not None and (state.suspended or (state.final and state.type != "CRASHED")):
            self._log.info(f"{name} arrived, and the flow run is already {state.name}")
            self._stop_reason = "end"
        elif self._session.settings.sigterm_behavior:
            self._log.info(f"{name} arrived: {self._session.settings.sigterm_behavior}")
            self._stop(self._session.settings.sigterm_behavior, state)
        else:
            self._log.info(f"{name} arrived: asking the engine to end")
            self._stop_reason, self._signum = name, signum
            self._engine.terminate()

    def _stop(self, stop_reason: str, state: State | None) -> None:
        """Send the intent, wait for its acknowledgement, then send SIGTERM.

        An engine that did not acknowledge gets SIGKILL if it would report the SIGTERM as a crash (`handle_crash` of
        https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flow_engine.py).

        The run is rescheduled after the signal, because an engine that goes on may still set it to Running, but before
        the flow's clean-up ends, because the container may be killed soon; after SIGKILL, by the conclusion.
        """
        self._stop_reason, self._seen = stop_reason, state
        self._log.info(f"stopping the engine ({stop_reason})")
        answer = self._control.send(stop_reason) if self._launch.engine.understands(stop_reason) else "unheard"
        if answer == "concluded":
            return
        self._acknowledged = answer == "acknowledged"
        if not self._acknowledged and not self._launch.engine.is_silent_on_sigterm:
            self._engine.kill()
            return
        self._engine.terminate()
        if stop_reason == "reschedule":
            self._reschedule()

    def _reschedule(self) -> None:
        """Reschedule the run while the engine ends."""
        self._session.claim.release()
        try:
            state = self._flow_run.reschedule()
        except PrefectUvError as error:
            self._log.warning(f"the flow run could not be rescheduled: {error}")
            return
        self._handed_on = state.type == "SCHEDULED"
        self._log.info(f"flow run {self._flow_run.name} is {state.name}")

    def _read_state(self) -> State | None:
        """The run's state; None if the API does not answer in the seconds that a signal leaves."""
        try:
            return self._flow_run.state()
        except PrefectUvError:
            return None

    def _status(self) -> str:
        """What is going on, for SIGUSR1."""
        channel = "connected" if self._control.connected else "not connected"
        stop_reason = f", stopping it ({self._stop_reason})" if self._stop_reason else ""
        return f"engine {self._engine.pid} runs{stop_reason}, control channel {channel}"
