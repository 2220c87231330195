"""The newest releases of all pinned packages, written into `family.toml` and into everything that repeats a pin."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from images.family import ROOT, read
from images.process import run, say
from images.requirements import COMPILE, lock

FAMILY = ROOT / "images/family.toml"
PROJECTS = ("examples", "tests/projects", "bench/project")


def upgrade() -> None:
    """Raise every exact pin to the newest release, then write requirements files and projects that follow the pins.

    Raises:
        ToolError: no set of newest releases can be installed together, or the package index cannot be reached.
    """
    pins = {name: constraint for name, constraint in read().pins.items() if constraint.startswith("==")}
    newer = {name: f"=={version}" for name, version in newest(pins).items()}
    text = FAMILY.read_text()
    for name, constraint in pins.items():
        if newer[name] != constraint:
            say(f"{name}: {constraint.lstrip('=')} -> {newer[name].lstrip('=')}")
            text = text.replace(f'\n{name} = "{constraint}"', f'\n{name} = "{newer[name]}"')
    FAMILY.write_text(text)
    lock()
    for path in followers():
        text = path.read_text()
        if followed(text, newer) != text:
            path.write_text(followed(text, newer))


def newest(pins: Mapping[str, str]) -> dict[str, str]:
    """The newest releases that can be installed together.

    `prefect-client` is the same import package as `prefect`, has an environment of its own in the images, and is
    sometimes released later or not at all (there is no 3.9.1), so its version is its own.
    """
    together = [name for name in pins if name != "prefect-client"]
    versions: dict[str, str] = {}
    for names in (together, [name for name in pins if name not in together]):
        with tempfile.NamedTemporaryFile("w", suffix=".in") as source:
            source.write("\n".join(names))
            source.flush()
            resolved = run([*COMPILE, source.name], timeout=600)
        found = dict(re.findall(r"^([\w.-]+)==([^ ;]+)", resolved, re.MULTILINE))
        versions |= {name: found[name] for name in names}
    return versions


def followers() -> list[Path]:
    """The files of examples and test projects, which pin what the images are built for."""
    listed = run(["git", "-C", str(ROOT), "ls-files", "-z", "--", *PROJECTS], timeout=60)
    return [ROOT / name for name in listed.split("\0") if name]


def followed(text: str, pins: Mapping[str, str]) -> str:
    """The text of a project's file in which exact requirements of pinned packages are the pins.

    They have the form of PEP 508, of Poetry and Pipenv (`prefect = "3.8.8"`), or of conda (`prefect=3.8.8`).
    """
    names = "|".join(sorted(pins, key=len, reverse=True))
    requirement = re.compile(rf'(?<![\w.-])(?P<name>{names})(?P<is>==|=| = "(?:==)?)[0-9][0-9.]*[0-9]')
    return requirement.sub(lambda match: match["name"] + match["is"] + pins[match["name"]].lstrip("="), text)
