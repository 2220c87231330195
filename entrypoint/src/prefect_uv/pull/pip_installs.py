"""What `pip install` in a pull step asks for: noted by the image's `pip`, and installed like other extra packages.

pip would change the image's Python, which the flow does not use, or an environment that other runs share.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from prefect_uv.log.mask import Mask
from prefect_uv.pull.checkout import Checkout
from prefect_uv.settings.environment_secrets import secrets_in_urls

NOTES_VARIABLE = "PREFECT__UV_PIP_INSTALLS"


def note_install(notes: str, files: Sequence[str], lines: Sequence[str]) -> None:
    """Add the requirements files and the lines of one `pip install` to the notes of the pull step."""
    with Path(notes).open("a") as file:
        file.write(json.dumps([files, lines]) + "\n")


@contextmanager
def noted_installs() -> Iterator[Path]:
    """A path for the notes of one pull step."""
    with tempfile.TemporaryDirectory(prefix="prefect-uv-pip-") as private:
        yield Path(private) / "notes"


def with_installs(checkout: Checkout, notes: Path, mask: Mask) -> Checkout:
    """The checkout with the requirements of the notes; the mask gets the credentials in their addresses."""
    if not notes.exists():
        return checkout
    installs = [json.loads(line) for line in notes.read_text().splitlines()]
    files = [Path(file) for noted, _ in installs for file in noted]
    lines = [line for _, noted in installs for line in noted]
    mask.add(*(secret for line in lines for secret in secrets_in_urls(line)))
    return replace(checkout, requirements=(*checkout.requirements, *files), packages=(*checkout.packages, *lines))
