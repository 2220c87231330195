"""The image's configuration, labels, size and facts."""

from __future__ import annotations

import json
import re

import pytest
from docker.models.images import Image

from images.family import Family
from tests.images.containers import Runner

SIZE_LIMITS = {"trixie": 290_000_000, "forky": 350_000_000}
LABEL_PREFIX = "org.opencontainers.image."


def test_entrypoint_is_tini_and_the_program(image: Image) -> None:
    """tini gets no `-g`, so that one SIGTERM to the container is one SIGTERM to the engine.

    tini 0.19: https://github.com/krallin/tini#process-group-killing
    """
    assert image.attrs["Config"]["Entrypoint"] == ["/usr/bin/tini", "--", "prefect-uv"]
    assert not image.attrs["Config"]["Cmd"]


def test_user_is_numeric_and_in_group_0(image: Image) -> None:
    """Kubernetes can check `runAsNonRoot`, and other users in group 0 have the same rights."""
    assert image.attrs["Config"]["User"] == "1000:0"
    assert image.attrs["Config"]["WorkingDir"] == "/opt/prefect"
    assert not image.attrs["Config"]["Volumes"]


def test_environment_has_only_home_language_and_path(image: Image) -> None:
    """The environment has no proxies, indexes or settings from the build."""
    environment = dict(entry.split("=", 1) for entry in image.attrs["Config"]["Env"])
    assert {**environment, "PATH": ""} == {"HOME": "/home/prefect", "LANG": "C.UTF-8", "PATH": ""}


def test_labels(image: Image, member: str, family: Family) -> None:
    """The OCI labels name image, release, commit, licence and base."""
    labels = {
        name.removeprefix(LABEL_PREFIX): value for name, value in image.labels.items() if name.startswith(LABEL_PREFIX)
    }
    declared = family.images[member]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels.pop("revision"))
    assert labels == {
        "title": f"prefect-uv {member}",
        "description": declared.description,
        "version": family.version,
        "licenses": family.licenses,
        "base.name": family.base_of(declared),
    }


def test_size_is_under_the_limit(image: Image, family: Family) -> None:
    """The uncompressed image is smaller than 290 MB on Debian trixie."""
    assert image.attrs["Size"] < SIZE_LIMITS[family.debian]


def test_facts_name_the_image_and_its_interpreter(run: Runner, member: str, family: Family) -> None:
    """The image's facts name the image, its versions and its interpreter."""
    facts = json.loads(run.succeed(["cat", "/opt/prefect-uv/image.json"]))
    assert (facts["name"], facts["prefect"], facts["version"]) == (member, family.prefect, family.version)
    assert facts["python_version"].startswith(f"{family.images[member].python}.")
    answer = run.succeed([facts["python"], "-c", "import platform; print(platform.python_version())"])
    assert answer.strip() == facts["python_version"]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (["uv", "--version"], "uv {uv} "),
        (["git", "--version"], "git version 2."),
        (["git", "lfs", "version"], "git-lfs/3."),
        (["git", "config", "--system", "filter.lfs.process"], "git-lfs filter-process"),
        (["tini", "--version"], "tini version 0."),
        (["sh", "-c", "ssh -V 2>&1"], "OpenSSH_"),
        (["/usr/bin/python{python}", "--version"], "Python {python}."),
    ],
)
def test_tools_are_installed(run: Runner, family: Family, command: list[str], answer: str) -> None:
    """The image has uv in its pinned version, git that starts git-lfs, tini, ssh and Debian's Python."""
    versions = {"uv": family.pins["uv"].removeprefix("=="), "python": family.debian_pythons[0]}
    assert run.succeed([part.format(**versions) for part in command]).startswith(answer.format(**versions))
