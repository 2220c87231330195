"""Comparing the names of packages, groups and extras."""

from __future__ import annotations

import re
from collections.abc import Container

DEV = "dev"
PREFECT = ("prefect", "prefect-client")


def normalized(name: str) -> str:
    """The form in which names of packages, extras and groups are compared (PEP 503, PEP 685, PEP 735).

    Specification: https://packaging.python.org/en/latest/specifications/name-normalization/
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def has_prefect(names: Container[str]) -> bool:
    """Whether Prefect, which every flow needs, is among these normalized names."""
    return any(name in names for name in PREFECT)
