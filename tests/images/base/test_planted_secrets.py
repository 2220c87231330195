"""Real builds with marked secrets: no layer contains a mark."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import docker
import pytest
from docker.models.images import Image as BuiltImage

from images import docker_engine, secrets
from images.build import build
from images.family import ROOT, Family
from tests.images.layers import containing

MARK = "planted-4f1d"


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put the mark into every secret of this machine's environment."""
    bundle = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
    certificates = tmp_path / "bundle.crt"
    certificates.write_text(f"# {MARK}-certificate\n{bundle.read_text(encoding='utf-8')}", encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates))
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", f"https://user:{MARK}-mirror@mirror.invalid/python")
    monkeypatch.setenv("NO_PROXY", f"{MARK}-proxy.invalid,localhost,127.0.0.1")
    return tmp_path


@pytest.fixture
def own_repository(monkeypatch: pytest.MonkeyPatch, engine: docker.DockerClient) -> Iterator[str]:
    """A repository name for the test's images, which are removed after it."""
    repository = f"prefect-uv-test-{uuid4().hex[:8]}"
    monkeypatch.setenv("IMAGE_REPOSITORY", repository)
    yield repository
    for image in engine.images.list(repository):
        for tag in image.tags:
            if tag.startswith(f"{repository}:"):
                engine.images.remove(tag)


def assert_unmarked(image: BuiltImage) -> None:
    """Check that the builder passes the mark to the build, and that no layer contains it."""
    assert MARK in secrets.index_exports(os.environ)
    assert containing(image, [MARK.encode()]) == []


@pytest.mark.usefixtures("marked")
def test_child_image(engine: docker.DockerClient, family: Family, own_repository: str) -> None:
    """The build of a child image uses certificates, indexes and proxies, and keeps none."""
    name = f"planted-{uuid4().hex[:8]}"
    planted = dataclasses.replace(family.images["py313"], name=name)
    members = dataclasses.replace(family, repository=own_repository, images={**family.images, name: planted})
    client = docker_engine.client()
    assert client
    assert build(client, members, [name]) == {}
    assert_unmarked(engine.images.get(members.tag(name)))


@pytest.mark.full
@pytest.mark.timeout(900)
def test_base_image(marked: Path, engine: docker.DockerClient, own_repository: str) -> None:
    """Every step of the base, run again with marked secrets, keeps none of them."""
    checkout = marked / "checkout"
    for part in ("Dockerfile.base", "Dockerfile.py312", ".dockerignore", "images", "entrypoint", "requirements"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        checkout.mkdir(exist_ok=True)
        copy(ROOT / part, checkout / part)
    with (checkout / "images/base/apt-install").open("a") as script:
        script.write(f"# {uuid4().hex}: no step is reused\n")
    subprocess.run([sys.executable, "-m", "images", "build", "base"], cwd=checkout, check=True, timeout=900)
    assert_unmarked(engine.images.get(f"{own_repository}:base"))
