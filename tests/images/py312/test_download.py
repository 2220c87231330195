"""Images whose interpreter uv downloads during the build."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import docker
import pytest

from images import docker_engine
from images.build import NO_PYTHON, build
from images.family import Family, read
from tests.images.containers import Runner
from tests.images.mirror import member, mirrored_image
from tests.unit.pythons import VERSION


@pytest.fixture
def client() -> str:
    """The Docker client program that the builder uses."""
    program = docker_engine.client()
    assert program
    return program


def test_failed_download_stops_the_build(client: str, family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the reason and two remedies, and nothing is tagged."""
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", "http://127.0.0.1:9/none")
    extended = dataclasses.replace(family, images={**family.images, "own": member(family, "own", "3.12")})
    failure = str(build(client, extended, ["own"])["own"])
    assert "http://127.0.0.1:9/none" in failure
    assert f"{NO_PYTHON}: Python 3.12 could not be downloaded." in failure
    assert "hint: Set UV_PYTHON_INSTALL_MIRROR" in failure
    assert "use the image py313" in failure


def test_other_failure_is_not_a_failed_download(client: str, family: Family) -> None:
    """`make build-all` tolerates failed downloads only; a version that uv does not know is another failure."""
    extended = dataclasses.replace(family, images={**family.images, "own": member(family, "own", "1.0")})
    assert build(client, extended, ["own"]).keys() == {"own"}


def test_interpreter_from_a_mirror(engine: docker.DockerClient, family: Family, tmp_path: Path) -> None:
    """uv installs the interpreter from a mirror, and any user can run it."""
    with mirrored_image(family, tmp_path) as tag:
        run = Runner(engine, tag)
        facts = json.loads(run.succeed(["cat", "/opt/prefect-uv/image.json"]))
        assert facts["python"] == f"/usr/local/bin/python{VERSION}"
        answer = run.succeed([facts["python"], "-c", "import encodings; print(encodings.__cached__)"], user="12345:0")
        assert answer.startswith("/opt/python/")
        run.succeed(["test", "-f", answer.strip()])
        outcome = run(["sh", "-c", "python --version; python -m pip install x"])
        assert (outcome.code, outcome.stdout) == (1, f"Python {facts['python_version']}\n")
        assert "`pip install` changes nothing here" in outcome.stderr


# It builds the base on another Debian. test_interpreter_is_debians is the same for this Debian's own Python.
@pytest.mark.full
@pytest.mark.timeout(900)
def test_interpreter_of_the_next_debian(
    client: str, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python that Debian has is installed from there: 3.15, while the program runs on 3.14."""
    monkeypatch.setenv("IMAGE_DEBIAN", "forky")
    monkeypatch.setenv("IMAGE_REPOSITORY", "prefect-uv-forky")
    family = read()
    own = dataclasses.replace(family.images["py314"], name="own", python="3.15", packages=("python3.15",))
    assert build(client, dataclasses.replace(family, images={**family.images, "own": own}), ["own"]) == {}
    run = Runner(engine, family.tag("own"))
    facts = json.loads(run.succeed(["cat", "/opt/prefect-uv/image.json"]))
    assert (facts["python"], facts["python_version"][:5]) == ("/usr/bin/python3.15", "3.15.")
    assert run.succeed(["python", "--version"]).startswith("Python 3.15.")
    assert run.succeed(["/opt/prefect-uv/bin/python", "--version"]).startswith("Python 3.14.")
    assert "python_version  3.15." in run(["prefect-uv", "doctor"]).stdout
