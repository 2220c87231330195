"""What is in an image, asked from a container of it: the versions that its tags name, and all of its packages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from images.process import run

PROBE = Path(__file__).with_name("contents_probe.py")
PYTHON = "/opt/prefect-uv/bin/python"
PROGRAMS = "/usr/local/bin"
OWN = ("/opt/prefect-uv", PROGRAMS)
UV_LICENSE = ("Apache-2.0 OR MIT",)


@dataclass(frozen=True)
class Package:
    """A package in an image.

    Attributes:
        name: its name in Debian or on PyPI.
        version: its full version.
        licenses: license expressions or names, as its metadata says; empty if that says nothing readable.
        source: Debian's source package; empty for Python packages.
        source_version: the version of the source package, to which security advisories refer.
        architecture: Debian's name of the architecture; empty for Python packages.
        environment: the directory of the environment that a Python package is in; empty for Debian packages.
    """

    name: str
    version: str
    licenses: tuple[str, ...] = ()
    source: str = ""
    source_version: str = ""
    architecture: str = ""
    environment: str = ""


@dataclass(frozen=True)
class Contents:
    """Everything that a container of an image says about the image.

    Attributes:
        facts: `image.json`, which the entrypoint itself uses (`prefect_uv.image_facts`).
        debian_release: Debian's version number, such as `13`.
        debian: Debian's packages.
        python: the packages in the image's own environments, and uv, which is a program without an environment.
    """

    facts: Mapping[str, str]
    debian_release: str
    debian: Sequence[Package]
    python: Sequence[Package]

    @classmethod
    def of(cls, docker: str, tag: str, platform: str = "") -> Contents:
        """Ask a container of the image, which has no network; one for another platform runs under emulation.

        Raises:
            ToolError: the container failed.
        """
        mount = f"type=bind,source={PROBE},target={PROBE},readonly"
        options = ["--rm", "--network=none", "--entrypoint", PYTHON, "--mount", mount]
        options += [f"--platform={platform}"] if platform else []
        answer: dict[str, Any] = json.loads(run([docker, "run", *options, tag, "-I", str(PROBE)], timeout=300))
        debian, python = ([_package(one) for one in answer[kind]] for kind in ("debian", "python"))
        uv = Package("uv", answer["facts"]["uv"], UV_LICENSE, environment=PROGRAMS)
        return cls(answer["facts"], answer["debian_release"], debian, [*python, uv])

    def of_tool(self, name: str) -> Contents:
        """What an image without Debian has of this one's contents: the program with its packages, uv and tini."""
        facts = {**self.facts, "name": name}
        debian = [package for package in self.debian if package.name == "tini"]
        return replace(self, facts=facts, debian=debian, python=[one for one in self.python if one.environment in OWN])


def tags(contents: Contents, day: date) -> list[str]:
    """The tags of an image: versions that a container of it says it has, and the day of the build.

    The first one is that of the release and never moves to another image; the others do.
    """
    facts = contents.facts
    name, minor = facts["name"], facts["prefect"].rpartition(".")[0]
    moving = [name, f"{name}-uv{facts['uv']}", f"{name}-prefect{minor}", f"{name}-{day:%Y%m%d}"]
    return [f"{facts['version']}-{name}", *moving]


def _package(said: Mapping[str, Any]) -> Package:
    return Package(**{**said, "licenses": tuple(said["licenses"])})
