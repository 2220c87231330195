"""How Prefect's workers start the container of a flow run: `docs/reference/workers.toml`, and its table."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from docs.markdown import table

FILE = Path(__file__).parent / "reference" / "workers.toml"


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker, and what its code starts.

    Attributes:
        name: the platform.
        package: the package.
        extras: the extras with which the package can be imported.
        version: the release that was read.
        module: the module that decides about the start.
        entrypoint: what takes the place of the image's ENTRYPOINT; empty if nothing does.
        command: the arguments.
    """

    name: str
    package: str
    version: str
    module: str
    command: list[str]
    extras: str = ""
    entrypoint: list[str]

    @property
    def requirement(self) -> str:
        """The release, for uv."""
        return f"{self.package}{self.extras}=={self.version}"


WORKERS = {kind: Worker(**facts) for kind, facts in tomllib.loads(FILE.read_text()).items()}


def workers() -> str:
    """A row for each worker."""
    rows = (
        (
            f"{one.name} (`{kind}`)",
            f"`{one.module}` of {one.package} {one.version}",
            f"replaced: `{_words(one.entrypoint)}`" if one.entrypoint else "kept",
            f"`{_words(one.command)}`" if one.command else "none",
        )
        for kind, one in WORKERS.items()
    )
    return table(("Worker", "Read in", "ENTRYPOINT", "Arguments"), rows)


def _words(command: list[str]) -> str:
    return " ".join(f"'{word}'" if " " in word else word for word in command)
