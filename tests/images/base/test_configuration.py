"""What the image declares."""

from __future__ import annotations

import json
import re

import pytest
from docker.models.images import Image

from images.family import Family
from tests.images.containers import Runner

LIMIT = 320_000_000
LABEL = "org.opencontainers.image."


def test_it_starts_tini_without_a_process_group_and_then_the_program(image: Image) -> None:
    """One SIGTERM to the container is one SIGTERM to the engine."""
    assert image.attrs["Config"]["Entrypoint"] == ["/usr/bin/tini", "--", "prefect-uv"]
    assert not image.attrs["Config"]["Cmd"]


def test_user_is_numeric_and_in_group_0(image: Image) -> None:
    """Kubernetes can check `runAsNonRoot`, and any other user in group 0 has the same rights."""
    assert image.attrs["Config"]["User"] == "1000:0"
    assert image.attrs["Config"]["WorkingDir"] == "/opt/prefect"
    assert not image.attrs["Config"]["Volumes"]


def test_environment_holds_nothing_but_home_language_and_path(image: Image) -> None:
    """Neither proxies nor indexes nor settings of the build are left in the environment."""
    environment = dict(entry.split("=", 1) for entry in image.attrs["Config"]["Env"])
    assert {**environment, "PATH": ""} == {"HOME": "/home/prefect", "LANG": "C.UTF-8", "PATH": ""}


def test_labels_tell_what_it_is(image: Image, member: str, family: Family) -> None:
    """The OCI labels name image, release, commit, licence and base."""
    labels = {name.removeprefix(LABEL): value for name, value in image.labels.items() if name.startswith(LABEL)}
    declared = family.images[member]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels.pop("revision"))
    assert labels == {
        "title": f"prefect-uv {member}",
        "description": declared.description,
        "version": family.version,
        "licenses": family.licenses,
        "base.name": family.base_of(declared),
    }


def test_size_is_under_the_limit(image: Image) -> None:
    """Uncompressed, it stays under 320 MB."""
    assert image.attrs["Size"] < LIMIT


def test_facts_name_the_image_and_its_interpreter(run: Runner, member: str, family: Family) -> None:
    """The program finds in the image what it needs to know of it."""
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
        (["tini", "--version"], "tini version 0."),
        (["sh", "-c", "ssh -V 2>&1"], "OpenSSH_"),
        (["python3.13", "--version"], "Python 3.13."),
    ],
)
def test_tools_are_there(run: Runner, family: Family, command: list[str], answer: str) -> None:
    """git and ssh fetch code, uv builds environments in its pinned version, tini reaps."""
    assert run.succeed(command).startswith(answer.format(uv=family.pins["uv"].removeprefix("==")))
