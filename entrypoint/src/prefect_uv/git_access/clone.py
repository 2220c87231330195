"""What is known of a repository that a pull step has cloned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect_uv.git_access.git_credentials import Login


@dataclass(frozen=True)
class Clone:
    """A clone, and how to ask its server again.

    Attributes:
        directory: the working tree.
        url: the repository, without credentials.
        login: what gave access to it; None if nothing was needed.
    """

    directory: Path
    url: str
    login: Login | None
