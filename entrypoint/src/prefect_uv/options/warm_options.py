"""The options of `prefect-uv warm`: which deployments to warm."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prefect_uv.errors import UsageError

ANY_OF = {
    "--pool": ("pools", "NAME", "the deployments of this work pool"),
    "--queue": ("queues", "NAME", "only those of this work queue"),
    "--tag": ("tags", "TAG", "only those with this tag"),
    "--deployment": ("names", "FLOW/NAME", "this deployment, whatever else is chosen"),
}
"""Options that may be repeated, each with its field, the name of its value, and what it chooses."""


@dataclass(frozen=True, kw_only=True)
class WarmOptions:
    """Which deployments to warm: those of any of the pools, of any of the queues, with any of the tags; and the named.

    Attributes:
        pools: names of work pools; empty for all.
        queues: names of work queues; empty for all.
        tags: tags; empty for all.
        names: full names, such as `etl/daily`.
    """

    pools: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What was given on the command line."""
        return ", ".join(self._given())

    def _given(self) -> Iterator[str]:
        chosen = asdict(self)
        for option, (field, _, _) in ANY_OF.items():
            yield from (f"{option} {value}" for value in chosen[field])


def add_warm_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser of the command."""
    for option, (field, value, text) in ANY_OF.items():
        parser.add_argument(option, dest=field, action="append", metavar=value, help=f"{text}; may be repeated")


def read_warm_options(given: Mapping[str, Any]) -> WarmOptions:
    """Read what was given on the command line.

    Raises:
        UsageError: nothing chooses a deployment.
    """
    if not given:
        hint = "Choose deployments with --pool, --queue, --tag or --deployment."
        raise UsageError("`prefect-uv warm` does not know which deployments to warm.", hint=hint)
    return WarmOptions(**{field: tuple(values) for field, values in given.items()})
