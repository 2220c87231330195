"""Which tests run in one process, one after the other, and which side by side.

Most of the time a test waits: for a container, an engine, a grace period. So several processes of pytest-xdist, the
lanes, share the machine. Tests that share costly fixtures, or the names of deployments, are one unit, which a lane
takes as a whole. The longest units come first, and the many short ones of the unit tests fill what is left.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

UNITS = (
    r"tests/prefect/test_(bake|compiled|extra_packages|offline|providers|pull)\b",
    r"tests/prefect/",
    r"tests/engine/",
    r"tests/examples/test_(examples|workspace)\b",
    r"tests/\w+/test_kills\b",
    r"tests/\w+/test_volumes\b",
    r"tests/pull/test_(clone|templating)\b",
    r"tests/examples/",
    r"tests/\w+/test_crowd\b",
    r"tests/shapes/",
    r"tests/pull/test_delegated\b",
    r"tests/images/",
)
"""Patterns of node ids, one for each unit, the longest unit first; any other test goes with its module, at the end."""


def unit_of(nodeid: str) -> str:
    """The unit of a test."""
    return next((unit for unit in UNITS if re.match(unit, nodeid)), nodeid.partition("::")[0])


def rank(nodeid: str) -> int:
    """Where its unit stands in the order."""
    unit = unit_of(nodeid)
    return UNITS.index(unit) if unit in UNITS else len(UNITS)


class Lanes(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist has no type hints
    """Gives each lane whole units, in their order."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
