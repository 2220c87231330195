"""A flow run that has ended: its state and log from the API, and its container's exit code and output."""

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
"""Part of a warning that Prefect's engine logs if a slow server delays its exit."""
TROUBLE = re.compile(r"\b(warning|error|critical|traceback)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Run:
    """A flow run that has ended, and its container."""

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
        """Raise AssertionError if there is an unexpected warning or error."""
        if unexpected := self.unexpected(expected):
            raise AssertionError("\n".join(["unexpected:", *unexpected, self.report()]))

    def require_completed(self) -> None:
        """Raise AssertionError if the run did not complete, or if there is a warning or an error."""
        self.require_quiet()
        if self.state.name != "Completed":
            raise AssertionError(self.report())

    def report(self) -> str:
        """Everything about the run, for the message of a failing test."""
        state = f"{self.state.name}: {self.state.message}"
        return f"{state}\nexit code {self.outcome.exit_code}\n-- log\n{self.messages}\n-- output\n{self.outcome.output}"
