"""After the engine's end: report to the API what the engine did not, and choose the exit code that the worker sees."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from prefect_uv.api.flow_run import REPORT_POLICY, FlowRun
from prefect_uv.api.run_state import State
from prefect_uv.engine.control_channel import INTENTS
from prefect_uv.engine.exit_codes import explain_exit_code
from prefect_uv.engine.flow_hooks import run_hooks
from prefect_uv.engine.launch import Launch
from prefect_uv.errors import PrefectUvError
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.signals import SIGNAL_EXIT
from prefect_uv.start_ending import RELINQUISHED_EXIT

TAIL_LINES = 20
LINE_CHARACTERS = 500
CANNOT_LOAD = "cannot open shared object file"
BEFORE_RUNNING = {"SCHEDULED", "PENDING"}


@dataclass(frozen=True)
class Ending:
    """How the engine ended.

    Attributes:
        code: its exit code, or 128 + n if signal n killed it.
        tail: the end of what it wrote to stderr.
        stop_reason: why we stopped it: `cancel`, `reschedule`, `relinquish`, or the name of a signal; `end` if it had
            reported its end; empty if it ended on its own.
        seen: the run's state when we stopped it.
        acknowledged: it acknowledged the reason on the control channel.
        aborted: it reported that the server told it not to run.
        reported: the type of the state that it reported it had set, such as `COMPLETED`; empty if it reported none.
        handed_on: the run was rescheduled, so that its state is now that of the next attempt.
        killed_after: the seconds after which it was killed because it had not ended; None if we did not kill it.
    """

    code: int
    tail: str = ""
    stop_reason: str = ""
    seen: State | None = None
    acknowledged: bool = False
    aborted: bool = False
    reported: str = ""
    handed_on: bool = False
    killed_after: float | None = None

    @property
    def by_signal(self) -> bool:
        """Whether a signal killed it, so that it could report nothing."""
        return self.code > SIGNAL_EXIT

    def explain(self) -> str:
        """Why the engine ended, in one sentence."""
        if self.killed_after is None and self.by_signal and self.stop_reason in INTENTS and not self.acknowledged:
            return f"prefect-uv killed the engine to {self.stop_reason} the run."
        if self.killed_after is None:
            return explain_exit_code(self.code)
        reason = f"{self.stop_reason} arrived, " if self.stop_reason in signal.Signals.__members__ else ""
        return f"{reason}the engine did not end within {self.killed_after:g} s, and prefect-uv killed it."


@dataclass(frozen=True)
class Conclusion:
    """Finishes a run whose engine has ended, by what the API says; the exit code alone says too little."""

    ending: Ending
    flow_run: FlowRun
    launch: Launch
    log: RunLog

    def report(self) -> int:
        """Report to the API what the engine did not.

        Returns:
            The container's exit code: 0 if the run ended in an orderly way or continues later, 1 if the infrastructure
            should start it again, else the engine's.
        """
        if self.ending.handed_on:
            self.log.info(f"flow run {self.flow_run.name} was rescheduled; this attempt has ended")
            return 0
        try:
            return self._finish(self.flow_run.state(REPORT_POLICY))
        except PrefectUvError as error:
            if self.ending.reported and self.ending.reported != "CRASHED":
                self.log.info(f"the engine reported that the flow run is {self.ending.reported.title()} ({error})")
                return 0
            message = f"the end of the run could not be reported ({self.ending.explain()} {error})"
            self.log.error(f"{message}; the worker has to report it, by the exit code")  # noqa: TRY400 (not a logger)
            return self.ending.code or error.exit_code

    def _finish(self, state: State) -> int:
        if state.cancelling or (self.ending.stop_reason == "cancel" and state.type == "CANCELLED"):
            return self._cancelled(state)
        if state.final:
            return self._final(state)
        if self.ending.stop_reason == "relinquish":
            self.log.info(f"flow run {self.flow_run.name} stays {state.name}; the infrastructure starts it again")
            return RELINQUISHED_EXIT
        if self.ending.stop_reason == "reschedule" and not self._waits(state):
            state = self.flow_run.reschedule()
        if self._waits(state) or self.ending.aborted:
            self.log.info(f"flow run {self.flow_run.name} is {state.name}")
            return 0
        return self._crashed(state)

    def _waits(self, state: State) -> bool:
        """Whether the run is Suspended or Scheduled, and not only because the engine never began.

        Then it is still as we found it, or has become Late, and is reported as Crashed, as by Prefect's own runner
        (Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/runner/_flow_run_executor.py).
        """
        found = self.flow_run.found
        untouched = state.id == found.id or (state.name == "Late" and found.type == "SCHEDULED")
        return state.continues_later and not untouched

    def _final(self, state: State) -> int:
        """The engine, or somebody else, has reported a final state."""
        if state.type != "CRASHED":
            self._explain_failure(state)
            return 0
        if not self.launch.engine.runs_crashed_hooks:
            run_hooks("crashed", self.launch, self.log)
        return self._code()

    def _explain_failure(self, state: State) -> None:
        """Log what a flow lacks that failed because a shared library could not be loaded."""
        if state.type == "FAILED" and CANNOT_LOAD in self.ending.tail:
            self._hint()

    def _cancelled(self, state: State) -> int:
        if not self._engine_ran_cancellation_hooks(state):
            run_hooks("cancellation", self.launch, self.log)
        if not state.final:
            state = self.flow_run.cancel("Flow run was cancelled successfully.")
        self.log.info(f"flow run {self.flow_run.name} is {state.name}")
        return 0

    def _engine_ran_cancellation_hooks(self, state: State) -> bool:
        """Whether the engine ran the hooks: it does so before it exits, unless a signal killed it first.

        In that case, its own Cancelling shows it: an engine that acknowledged the cancellation sets it before it runs
        the hooks (Prefect 3.8.8, `handle_cancellation`:
        https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flow_engine.py).
        """
        wrote = self.ending.seen is not None and state.id != self.ending.seen.id
        return not self.ending.by_signal or (self.ending.acknowledged and wrote)

    def _crashed(self, state: State) -> int:
        """Report the crash that the engine did not report; with its last line if it ended before the flow began."""
        message = self.ending.explain()
        lines = [line for line in self.log.mask(self.ending.tail).splitlines() if line.strip()][-TAIL_LINES:]
        if lines and state.type in BEFORE_RUNNING and not self.ending.by_signal:
            message += f" Its last line: {lines[-1].strip()[:LINE_CHARACTERS]}"
            self.log.error("\n".join([message, *(f"    {line}" for line in lines)]))
            message += self._hint()
        else:
            self.log.error(message)
        after = self.flow_run.crash(message)
        if after.type == "CRASHED":
            run_hooks("crashed", self.launch, self.log)
            return self._code()
        return self._code() if after.type == state.type else self._finish(after)

    def _hint(self) -> str:
        """What to do about it, in the log and for the state; empty if nobody knows."""
        from prefect_uv.engine.crash_hints import crash_hint  # noqa: PLC0415 (few engines crash)

        hint = self.log.mask(crash_hint(self.ending.tail, self.launch.directory))
        if hint:
            self.log.error(f"hint: {hint}")
        return f" hint: {hint}" if hint else ""

    def _code(self) -> int:
        """The engine's exit code; 1 instead of 0, because this is a crash."""
        return self.ending.code or 1
