"""The images whose interpreter uv downloads while they are built."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import docker
import pytest

from images import docker_engine
from images.build import NO_PYTHON, build
from images.family import Family
from tests.images.containers import Runner
from tests.images.mirror import member, mirrored_image
from tests.unit.pythons import VERSION


@pytest.fixture
def client() -> str:
    """The Docker client that the builder uses."""
    found = docker_engine.client()
    assert found
    return found


def test_failed_download_stops_the_build_with_the_way_out(
    client: str, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason and the two ways out are told, and nothing is tagged."""
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", "http://127.0.0.1:9/none")
    own = dataclasses.replace(family, images={**family.images, "own": member(family, "own", "3.12")})
    failure = str(build(client, own, ["own"])["own"])
    assert "http://127.0.0.1:9/none" in failure
    assert f"{NO_PYTHON}: Python 3.12 could not be downloaded." in failure
    assert "hint: Set UV_PYTHON_INSTALL_MIRROR" in failure
    assert "use the image py313" in failure


def test_other_failure_is_not_taken_for_a_failed_download(client: str, family: Family) -> None:
    """`make build-all` excuses a download only: a version that uv does not know is another failure."""
    own = dataclasses.replace(family, images={**family.images, "own": member(family, "own", "1.0")})
    assert build(client, own, ["own"]).keys() == {"own"}


def test_interpreter_from_a_mirror(engine: docker.DockerClient, family: Family, tmp_path: Path) -> None:
    """With a reachable mirror uv installs the interpreter, which then runs for any user."""
    with mirrored_image(family, tmp_path) as tag:
        run = Runner(engine, tag)
        facts = json.loads(run.succeed(["cat", "/opt/prefect-uv/image.json"]))
        assert facts["python"] == f"/usr/local/bin/python{VERSION}"
        answer = run.succeed([facts["python"], "-c", "import encodings; print(encodings.__cached__)"], user="12345:0")
        assert answer.startswith("/opt/python/")
        run.succeed(["test", "-f", answer.strip()])
