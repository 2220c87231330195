"""Names of packages, groups and extras."""

from __future__ import annotations

import re
from collections.abc import Container

DEV = "dev"
PREFECT = ("prefect", "prefect-client")


def normalized(name: str) -> str:
    """A name as packages, groups and extras are compared (PEP 503, PEP 685, PEP 735)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def has_prefect(names: Container[str]) -> bool:
    """Whether normalized names have Prefect among them: without it no flow runs."""
    return any(name in names for name in PREFECT)
