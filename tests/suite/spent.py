"""What the tests of each directory have taken, beside the budget that CONTRIBUTING.md gives them.

Nothing fails by it: the figures depend on the machine. They show whoever adds a test what it costs.
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
    """The seconds of each directory of tests, from the table in CONTRIBUTING.md."""
    return {name: int(seconds) for name, seconds in ROW.findall(CONTRIBUTING.read_text())}


class Spent:
    """Adds up the seconds of setups, calls and teardowns, and prints them before the closing line."""

    def __init__(self, allowed: Mapping[str, int]) -> None:
        self._allowed = allowed
        self._began = time.monotonic()
        self._seconds: dict[str, float] = defaultdict(float)
        self._tests: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a part of a test."""
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
        """A line for each directory, and one for all of them."""
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
