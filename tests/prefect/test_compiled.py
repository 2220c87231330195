"""A project with a C extension, in an image with a compiler."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.family import ROOT, read
from images.secrets import options
from tests.prefect.conftest import PROJECTS
from tests.stack import HARDENED_AND_BUILDING, Stack, git_clone
from tests.stack.images import built

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

DOCKERFILE = """\
ARG BASE
FROM ${BASE}
USER root
RUN --mount=type=bind,source=apt-install,target=/usr/local/bin/apt-install \\
    --mount=type=secret,id=apt,target=/run/secrets/apt.sources \\
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt \\
    apt-install gcc libc6-dev python3-dev
USER 1000
"""


@pytest.fixture
def image_with_compiler(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """An image FROM ours, as described in docs/how-to/install-the-project.md."""
    shutil.copy(ROOT / "images" / "base" / "apt-install", tmp_path)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    with options(read().debian) as secrets, built(tmp_path, f"--build-arg=BASE={stack.image}", *secrets) as image:
        yield image


def test_extension_is_compiled_on_each_run(stack: Stack, image_with_compiler: str) -> None:
    """No setting is needed, and an edit takes effect in the next run, which uses the same environment."""
    repository = stack.git.create("with-a-compiler", PROJECTS / "compiled")
    options = {"image": image_with_compiler, "container_create_kwargs": HARDENED_AND_BUILDING}
    deployment = stack.deploy("compiled", "sums.flows.hello", [git_clone(repository.url)], **options)
    first = stack.run_and_wait(deployment)
    assert "sums is built and installed for this run: setuptools has ext-modules for it" in first.messages
    assert "total 123" in first.messages, first.report()
    source = repository.work / "src" / "sums" / "_fast.c"
    source.write_text(source.read_text().replace("left + right", "left - right"))
    repository.commit("Subtract")
    second = stack.run_and_wait(deployment)
    assert "total 77" in second.messages, second.report()
    assert "(hit " in second.messages, second.report()
