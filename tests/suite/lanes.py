"""Which tests run one after another in the same process, and which run in parallel.

A test spends most of its time waiting: for a container, an engine, a grace period. So the machine runs more processes
of pytest-xdist (lanes) than it has processors. Tests that share expensive fixtures or deployment names form a unit,
which always runs in one lane. The longest units start first, and the short unit tests fill the gaps.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TIMEOUT_FACTOR = 3
UNITS = (
    r"tests/prefect/test_(bake|compiled|extra_packages|offline|providers|pull)\b",
    r"tests/prefect/",
    r"tests/kubernetes/",
    r"tests/engine/",
    r"tests/examples/test_(examples|workspace)\b",
    r"tests/corpus/",
    r"tests/\w+/test_kills\b",
    r"tests/pull/test_(clone|templating)\b",
    r"tests/examples/",
    r"tests/\w+/test_crowd\b",
    r"tests/\w+/test_volumes\b",
    r"tests/shapes/",
    r"tests/pull/test_delegated\b",
    r"tests/images/",
)
"""A pattern of node IDs for each unit, the longest unit first. Each other module is a unit, after all of these."""


def unit_of(nodeid: str) -> str:
    """The unit that a test belongs to."""
    return next((unit for unit in UNITS if re.match(unit, nodeid)), nodeid.partition("::")[0])


def rank(nodeid: str) -> int:
    """The position of a test's unit in the order; all unlisted units come last."""
    unit = unit_of(nodeid)
    return UNITS.index(unit) if unit in UNITS else len(UNITS)


def extend_timeout(item: pytest.Item) -> None:
    """Give a test more time than it has alone: the lanes share the processors."""
    mark = item.get_closest_marker("timeout")
    if mark:
        item.add_marker(pytest.mark.timeout(mark.args[0] * TIMEOUT_FACTOR), append=False)


class Lanes(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist has no type hints
    """Assigns whole units to the lanes, in order."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
