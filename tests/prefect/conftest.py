"""What some tests need in addition to the stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.stack import CacheVolume, PackageIndex, Repository, Stack

PROJECTS = Path(__file__).parent.parent / "projects"


@pytest.fixture(scope="session")
def plain(stack: Stack) -> Repository:
    """A repository with the plain project."""
    return stack.git.create("plain", PROJECTS / "plain")


@pytest.fixture
def cache(stack: Stack) -> Iterator[CacheVolume]:
    """A new cache volume."""
    with CacheVolume.create(stack.containers, stack.image) as volume:
        yield volume


@pytest.fixture
def index(stack: Stack) -> Iterator[PackageIndex]:
    """An index with one package, trinket 1.0, whose content is unique: equal wheels would share an environment."""
    with PackageIndex.start(stack.containers.gateway) as running:
        running.publish("trinket", "1.0", f"SAYS = 'clink {uuid4()}'\n")
        yield running


@pytest.fixture
def exchange(tmp_path: Path) -> Path:
    """A folder that the test and the flow share."""
    folder = tmp_path / "exchange"
    folder.mkdir()
    return folder
