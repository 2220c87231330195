"""The time that each directory's tests took, compared with the budget in CONTRIBUTING.md.

Nothing fails if it is exceeded, because the figures depend on the machine. They show the author of a new test its cost.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
ROW = re.compile(r"^\| `tests/(\w+)` \| (\d+) s \|", re.MULTILINE)
DIRECTORY = re.compile(r"^tests/(\w+)/")


def budgets() -> dict[str, int]:
    """The seconds that each directory of tests may take, from the table in CONTRIBUTING.md."""
    return {name: int(seconds) for name, seconds in ROW.findall(CONTRIBUTING.read_text())}


class Spent:
    """Adds up the seconds of setups, calls and teardowns, and prints them before pytest's last line."""

    def __init__(self, allowed: Mapping[str, int]) -> None:
        self._allowed = allowed
        self._began = time.monotonic()
        self._seconds: dict[str, float] = defaultdict(float)
        self._tests: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the seconds of a test's setup, call or teardown."""
        if directory := DIRECTORY.match(report.nodeid):
            self._seconds[directory[1]] += report.duration
            self._tests[directory[1]] += report.when == "setup"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if not self._tests:
            return
        terminalreporter.section("seconds spent, and the budget in CONTRIBUTING.md")
        for line in self.lines():
            terminalreporter.line(line)

    def lines(self) -> list[str]:
        """A line for each directory, and a line with the total."""
        lines = [self._line(name) for name in sorted(self._tests)]
        clock = time.monotonic() - self._began
        total = f"{'all':<20}{self._tests.total():>6} tests {sum(self._seconds.values()):>6.0f} s"
        return [*lines, f"{total} in {clock:.0f} s by the clock"]

    def _line(self, name: str) -> str:
        seconds, allowed = self._seconds[name], self._allowed.get(name)
        line = f"{f'tests/{name}':<20}{self._tests[name]:>6} tests {seconds:>6.0f} s"
        if allowed is None:
            return f"{line}, no budget"
        return f"{line} of {allowed} s{', OVER BUDGET' if seconds > allowed else ''}"
