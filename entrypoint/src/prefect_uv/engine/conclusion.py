"""After the engine's end: what the API knows, what is left to tell it, and the exit code that tells the worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from prefect_uv.api.flow_run import FlowRun, State
from prefect_uv.engine.exit_codes import SIGNAL_EXIT, explain_exit_code
from prefect_uv.engine.flow_hooks import run_hooks
from prefect_uv.engine.launch import Launch
from prefect_uv.errors import ApiUnreachableError, PrefectUvError
from prefect_uv.log.run_log import RunLog

REPORT_SECONDS = 300.0
RETRY_SECONDS = 5.0
TAIL_LINES = 20
WORDS = 500
WAITING_STATES = {"SCHEDULED", "PAUSED"}
RELINQUISHED_EXIT = 1

T = TypeVar("T")


@dataclass(frozen=True)
class Ending:
    """How the engine came to its end.

    Attributes:
        code: its exit code, 128 + n when signal n killed it.
        tail: the last of what it wrote to stderr.
        order: why we stopped it: `cancel`, `reschedule`, `relinquish`, `SIGTERM` and the like, or nothing.
        seen: the state in which we found it when we stopped it.
        acknowledged: it took the reason for the stop on the control channel.
        aborted: it said that the server told it to do nothing.
    """

    code: int
    tail: str = ""
    order: str = ""
    seen: State | None = None
    acknowledged: bool = False
    aborted: bool = False

    @property
    def by_signal(self) -> bool:
        """A signal ended it, so it had no say."""
        return self.code > SIGNAL_EXIT


@dataclass(frozen=True)
class Conclusion:
    """What is left to do for a run whose engine has ended, by what the API says; the exit code alone says nothing."""

    ending: Ending
    flow_run: FlowRun
    launch: Launch
    log: RunLog

    def reach(self) -> int:
        """Tell the API what the engine did not.

        Returns:
            the container's exit code: 0 where the run is settled in an orderly way; otherwise the engine's; 1 for a
            run that the infrastructure is to try again.
        """
        try:
            return self._settle(retry_while_unreachable(self.flow_run.state))
        except PrefectUvError as error:
            message = f"the end of the run could not be reported ({explain_exit_code(self.ending.code)} {error})"
            self.log.error(f"{message}: the worker has to, by the exit code")  # noqa: TRY400 (not a logger)
            return self.ending.code or error.exit_code

    def _settle(self, state: State) -> int:
        if state.cancelling or (self.ending.order == "cancel" and state.type == "CANCELLED"):
            return self._cancelled(state)
        if state.final:
            return self._final(state)
        if self.ending.order == "relinquish":
            self.log.info(f"flow run {self.flow_run.name} is left {state.name} for the infrastructure to try again")
            return RELINQUISHED_EXIT
        if self.ending.order == "reschedule" and state.type not in WAITING_STATES:
            state = retry_while_unreachable(self.flow_run.reschedule)
        if state.type in WAITING_STATES or self.ending.aborted:
            self.log.info(f"flow run {self.flow_run.name} is {state.name}")
            return 0
        return self._crashed(state)

    def _final(self, state: State) -> int:
        """The engine has reported it, or somebody else."""
        if state.type != "CRASHED":
            return 0
        if not self.launch.engine.runs_crashed_hooks:
            run_hooks("crashed", self.launch, self.log)
        return self._code()

    def _cancelled(self, state: State) -> int:
        if not self._engine_ran_cancellation_hooks(state):
            run_hooks("cancellation", self.launch, self.log)
        if not state.final:
            state = retry_while_unreachable(lambda: self.flow_run.cancel("Flow run was cancelled successfully."))
        self.log.info(f"flow run {self.flow_run.name} is {state.name}")
        return 0

    def _engine_ran_cancellation_hooks(self, state: State) -> bool:
        """It does so on its way out, unless a signal cut that short; then only what it has written tells.

        An engine that acknowledged the cancellation writes a Cancelling of its own before it runs the hooks.
        """
        wrote = self.ending.seen is not None and state.id != self.ending.seen.id
        return not self.ending.by_signal or (self.ending.acknowledged and wrote)

    def _crashed(self, state: State) -> int:
        """The engine has reported nothing: say what happened, with its last words where it did not come to the flow."""
        message = explain_exit_code(self.ending.code)
        words = [line for line in self.log.mask(self.ending.tail).splitlines() if line.strip()][-TAIL_LINES:]
        if words and state.type == "PENDING" and not self.ending.by_signal:
            message += f" Its last words: {words[-1].strip()[:WORDS]}"
            self.log.error("\n".join([message, *(f"    {word}" for word in words)]))
        else:
            self.log.error(message)
        after = retry_while_unreachable(lambda: self.flow_run.crash(message))
        if after.type == "CRASHED":
            run_hooks("crashed", self.launch, self.log)
            return self._code()
        return self._code() if after.type == state.type else self._settle(after)

    def _code(self) -> int:
        """A crash is never 0."""
        return self.ending.code or 1


def retry_while_unreachable(call: Callable[[], T]) -> T:
    """The answer of a call to the API, which may be away for some minutes.

    Raises:
        ApiUnreachableError: it was away for longer.
    """
    deadline = time.monotonic() + REPORT_SECONDS
    while True:
        try:
            return call()
        except ApiUnreachableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
