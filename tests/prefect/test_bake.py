"""Bake packages from a private index: the token is in no layer of the image."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.layers import containing
from tests.pages import run_by
from tests.prefect.conftest import PROJECTS
from tests.stack import PackageIndex, Stack, git_clone
from tests.stack.images import built, configured

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

TOKEN = "pypi-5e1d7c3a9b8f2046"  # noqa: S105 - planted to be looked for
PAGE = "docs/how-to/bake.md"
HEAD = "ARG BASE\nFROM ${BASE}\nCOPY pyproject.toml uv.lock ./\n"
FLOW = """\
import trinket
from prefect import flow


@flow(log_prints=True)
def hello():
    print(trinket.SAYS)
"""


@pytest.fixture
def private_index(stack: Stack) -> Iterator[PackageIndex]:
    """An index that requires a token."""
    with PackageIndex.start(stack.containers.gateway, TOKEN) as running:
        running.publish("trinket", "1.0", "SAYS = 'clink, baked'\n")
        yield running


def test_token_of_a_private_index_is_in_no_layer(stack: Stack, private_index: PackageIndex, tmp_path: Path) -> None:
    """A secret mount and the variable that names it leave no trace; a run needs neither token nor index."""
    addresses = {"http://index.invalid/simple": private_index.url}
    credentials = {"UV_INDEX_LOCAL_USERNAME": "ci", "UV_INDEX_LOCAL_PASSWORD": TOKEN}
    repository = stack.git.create(
        "private-bake", PROJECTS / "private-index", replace=addresses, environment=credentials
    )
    (bake,) = run_by("test_token_of_a_private_index_is_in_no_layer", PAGE)
    dockerfile = HEAD + bake.replace("COMPANY", "LOCAL").replace("=reader", "=ci")
    (repository.work / "Dockerfile").write_text(dockerfile)
    (repository.work / "flows.py").write_text(FLOW)
    repository.commit("Add a flow and an image")
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    options = (f"--secret=id=index-password,src={secret}",)
    (tmp_path / "base").mkdir()
    with (
        configured(stack.image, tmp_path / "base") as base,
        built(repository.work, f"--build-arg=BASE={base}", *options) as image,
    ):
        forms = [TOKEN.encode(), base64.b64encode(f"ci:{TOKEN}".encode())]
        found = containing(stack.containers.client.images.get(image), [*forms, b"clink, baked"])
        assert {needle for _, needle in found} == {b"clink, baked"}, "only the module is found, which proves the search"
        private_index.files.clear()
        deployment = stack.deploy("private-bake", "flows.py:hello", [git_clone(repository.url)], image=image)
        run = stack.run_and_wait(deployment)
        assert run.state.name == "Completed", run.report()
        assert "clink, baked" in run.messages, run.report()
        assert "(hit " in run.messages, run.report()
