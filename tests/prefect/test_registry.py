"""A registry with a password: our image is pushed to it, and the Docker worker pulls it by digest."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.commands import shell
from tests.pages import run_by
from tests.stack import Repository, Stack, git_clone
from tests.stack.registry import Registry, ensure_program

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

PAGE = "docs/how-to/registry.md"
TEST = "test_registry_of_the_page"


def test_registry_of_the_page(stack: Stack, plain: Repository, tmp_path: Path) -> None:
    """The page's commands push an image, and a worker whose user has logged in runs a flow in it."""
    configuration, password, login, push = run_by(TEST, PAGE)
    # The worker's HOME is stack.git.root, so this is the login of the worker's user.
    variables = {"REGISTRY_PASSWORD": secrets.token_hex(16), "DOCKER_CONFIG": str(stack.git.root / ".docker")}
    ensure_program("htpasswd", "apache2-utils")
    shell(password, tmp_path, variables)
    with Registry.start(tmp_path, configuration) as registry:

        def here(text: str) -> str:
            return text.replace("127.0.0.1:5000", registry.address).replace(" prefect-uv:py313", f" {stack.image}")

        shell(here(login), tmp_path, variables)
        tag = f"{registry.address}/prefect-uv:py313"
        try:
            image = shell(here(push), tmp_path, variables).split()[-1]
            assert image.startswith(f"{registry.address}/prefect-uv@sha256:")
            with pytest.raises(AssertionError, match="no basic auth credentials"):
                shell(f"docker pull {image}", tmp_path, {"DOCKER_CONFIG": str(tmp_path / "nobody")})
            deployment = stack.deploy(
                "hello",
                "flows.py:hello",
                [git_clone(plain.url)],
                image=image,
                image_pull_policy="Always",
            )
            run = stack.run_and_wait(deployment)
            run.require_completed()
            assert run.container.attrs["Config"]["Image"] == image
        finally:
            shell(f"docker image rm {tag}", tmp_path)
