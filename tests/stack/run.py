"""A flow run that is over: what the API says of it, and what its container left."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from docker.models.containers import Container
from prefect.client.schemas.objects import FlowRun, Log, State

from tests.stack.containers import Outcome

BUSY = "Still processing items"
"""What Prefect's engine warns of when a slow server holds up its end."""
TROUBLE = re.compile(r"\b(warning|error|critical|traceback)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Run:
    """A flow run that has ended: what the API says of it and what its container left."""

    flow_run: FlowRun
    logs: list[Log]
    container: Container
    outcome: Outcome

    @property
    def state(self) -> State[Any]:
        """The final state."""
        if self.flow_run.state is None:
            raise RuntimeError(f"flow run {self.flow_run.id} has no state")
        return self.flow_run.state

    @property
    def messages(self) -> str:
        """The flow run's log as text."""
        return "\n".join(log.message for log in self.logs)

    def unexpected(self, expected: Sequence[str] = ()) -> list[str]:
        """Warnings and errors in the log and on stderr that no given expression matches."""
        lines = [log.message for log in self.logs if log.level >= logging.WARNING]
        lines += [line for line in self.outcome.output.splitlines() if TROUBLE.search(line)]
        return [line for line in lines if not any(re.search(known, line) for known in (BUSY, *expected))]

    def require_quiet(self, expected: Sequence[str] = ()) -> None:
        """AssertionError on a warning or an error that is not expected."""
        if unexpected := self.unexpected(expected):
            raise AssertionError("\n".join(["unexpected:", *unexpected, self.report()]))

    def require_completed(self) -> None:
        """AssertionError when it did not complete, or not without a warning or an error."""
        self.require_quiet()
        if self.state.name != "Completed":
            raise AssertionError(self.report())

    def report(self) -> str:
        """Everything that is known about the run, for a failing test."""
        state = f"{self.state.name}: {self.state.message}"
        return f"{state}\nexit code {self.outcome.exit_code}\n-- log\n{self.messages}\n-- output\n{self.outcome.output}"
