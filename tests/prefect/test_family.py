"""Flow runs in the other images of the family, and in other images that the tool image made ours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.testbed import build_official
from images import docker_engine
from images.build import build
from images.family import ROOT, read
from images.secrets import options
from tests.commands import replaced, shell
from tests.pages import run_by
from tests.stack import CacheVolume, Repository, Stack, git_clone
from tests.stack.environment import job_volumes
from tests.stack.images import BuildError, built

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

FAMILY = read()
OWN_IMAGE = "docs/how-to/own-image.md"
NAMES = os.environ.get("PREFECT_UV_TEST_IMAGES", "py313-slim").split()
SECONDS = 300
SMALLER = 60_000_000
DEBIAN = """\
ARG BASE
FROM ${BASE}
RUN --mount=type=bind,source=apt-install,target=/run/apt-install \\
    --mount=type=secret,id=apt,target=/run/secrets/apt.sources,mode=0444 \\
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt,mode=0444 \\
    /run/apt-install ca-certificates git python3
"""


def run_hello(stack: Stack, plain: Repository, cache: CacheVolume, image: str, *steps: dict[str, Any]) -> str:
    """Run a flow in an image, and return its log."""
    pull_steps = [git_clone(plain.url), *steps]
    deployment = stack.deploy("family", "flows.py:hello", pull_steps, image=image, volumes=job_volumes(cache.name))
    run = stack.run_and_wait(deployment)
    assert run.state.name == "Completed", run.report()
    assert "hello world x1" in run.messages
    return run.messages


def image_built(name: str) -> str:
    """Build an image of the family, which is kept, and return its tag."""
    assert build(docker_engine.client() or "docker", FAMILY, [name]) == {}
    return FAMILY.tag(name)


@pytest.mark.parametrize("name", [name for name in NAMES if FAMILY.images[name].parent])
def test_flow_in_an_image(stack: Stack, plain: Repository, cache: CacheVolume, name: str) -> None:
    """A flow runs on the image's own interpreter, after a pull step that only Prefect can perform.

    If the image has no environment for such steps, one is built on the volume.
    """
    image = image_built(name)
    facts = json.loads(shell(f"docker run --rm --entrypoint cat {image} /opt/prefect-uv/image.json", ROOT))
    assert facts["name"] == name
    assert facts["python_version"].startswith(f"{FAMILY.images[name].python}.")
    log = run_hello(stack, plain, cache, image, {"platform.node": {}})
    assert ("for a pull step" in log) is not FAMILY.lineage(name)[0].prefect_client


def test_slim_is_small() -> None:
    """Without git-lfs and the environment for pull steps, it is at least 60 MB smaller."""
    images = [FAMILY.tag("py313"), image_built("py313-slim")]
    default, slim = (int(shell(f"docker image inspect --format '{{{{.Size}}}}' {image}", ROOT)) for image in images)
    assert default - slim > SMALLER
    found = shell(
        f"docker run --rm --entrypoint sh {images[1]} -c 'ls -d /opt/*; ! git lfs version 2> /dev/null'", ROOT
    )
    assert found.split() == ["/opt/baked", "/opt/prefect", "/opt/prefect-uv"]


# Programs run ten times slower under emulation. make test builds and runs the same for this machine's own platform.
@pytest.mark.full
@pytest.mark.timeout(3600)
def test_image_for_another_platform(stack: Stack, plain: Repository, cache: CacheVolume) -> None:
    """The image for arm64 starts, its `doctor` finds the API, and a flow runs in it."""
    family = replace(FAMILY, platform="linux/arm64")
    assert build(docker_engine.client() or "docker", family, ["py313"]) == {}
    image = family.tag("py313")
    container = stack.containers.start(image, ["prefect-uv", "doctor"], stack.server.environment, [])
    assert f"{stack.server.url} is Prefect" in stack.containers.wait(container, SECONDS).output
    assert "aarch64" in shell(
        f"docker run --rm --entrypoint python {image} -c 'import platform; print(platform.machine())'", ROOT
    )
    run_hello(stack, plain, cache, image)


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[str]:
    """An image of somebody else: Debian with Python and git."""
    folder = tmp_path / "debian"
    folder.mkdir()
    shutil.copy(ROOT / "images" / "base" / "apt-install", folder)
    (folder / "Dockerfile").write_text(DEBIAN)
    with options(FAMILY.debian) as secrets, built(folder, f"--build-arg=BASE={FAMILY.debian_image}", *secrets) as image:
        yield image


def made_ours(base: str, folder: Path) -> AbstractContextManager[str]:
    """Build the page's Dockerfile on an image."""
    (dockerfile,) = run_by("test_image_of_prefect_becomes_one_of_ours", OWN_IMAGE)
    words = {"prefecthq/prefect:3-latest": base, "prefect-uv:tool": image_built("tool")}
    (folder / "Dockerfile").write_text(replaced(dockerfile, words))
    return built(folder)


def test_image_with_python_becomes_one_of_ours(
    stack: Stack, plain: Repository, cache: CacheVolume, debian: str, tmp_path: Path
) -> None:
    """An image that has Python and git runs a flow as ours do."""
    with made_ours(debian, tmp_path) as image:
        assert "ready in " in run_hello(stack, plain, cache, image)


# test_image_with_python_becomes_one_of_ours is the same without Prefect in the other image.
@pytest.mark.full
def test_image_of_prefect_becomes_one_of_ours(
    stack: Stack, plain: Repository, cache: CacheVolume, tmp_path: Path
) -> None:
    """A stand-in of Prefect's own image, with Prefect in its system's Python, runs a flow as ours do."""
    with made_ours(build_official(plain.work), tmp_path) as image:
        assert "ready in " in run_hello(stack, plain, cache, image)


@pytest.mark.parametrize(
    ("line", "found", "hint"),
    [
        ("RUN rm /usr/bin/git", "this image has no git", "Install it above this line of the Dockerfile."),
        ("USER 1000", "only root can install it", "Write `USER 0` above this line of the Dockerfile."),
        ("RUN ln -sf /bin/false /usr/bin/python3", " is too old", "Name a Python of 3.11 or newer"),
    ],
)
def test_image_that_lacks_something(debian: str, tmp_path: Path, line: str, found: str, hint: str) -> None:
    """The build ends with what is missing, and with what to do."""
    lines = [f"FROM {debian}", f"COPY --from={image_built('tool')} / /", line, "RUN /opt/prefect-uv-tool/install"]
    (tmp_path / "Dockerfile").write_text("\n".join(lines))
    with pytest.raises(BuildError) as caught, built(tmp_path):
        pass
    assert "prefect-uv: " in str(caught.value)
    assert found in str(caught.value)
    assert f"hint: {hint}" in str(caught.value)
