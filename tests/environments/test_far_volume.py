"""A far volume with archives, and nodes with directories of their own (PREFECT_UV_LOCAL_DIR), with a real Prefect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from docker.types import Mount

from tests.environments.conftest import Starts
from tests.stack import CacheVolume
from tests.stack.containers import Containers
from tests.stack.environment import unreachable_network

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

LOCAL = {"PREFECT_UV_LOCAL_DIR": "/local"}
TOO_SMALL = 40 << 20
"""Bytes; the archive has more, and the environment several times as many."""


@pytest.fixture
def node(containers: Containers, image: str) -> Iterator[Mount]:
    """The directory of a node."""
    with CacheVolume.create(containers, image) as volume:
        yield Mount("/local", volume.name, type="volume")


def test_node_unpacks_what_another_has_built(containers: Containers, starts: Starts, node: Mount) -> None:
    """A node without a network gets the whole environment from the archive; one without room for it says so."""
    built = starts.run(environment=LOCAL, mounts=[node])
    assert built.exit_code == 0, built.output
    assert "archived environment " in built.stderr
    assert starts.environments() == []
    isolated = {**LOCAL, **unreachable_network(containers.gateway)}
    script = "import prefect; print(prefect.__file__.startswith('/local/'), prefect.flow)"
    empty = {"/local": "exec,mode=1777"}
    unpacked = starts.run("exec", "--", "python", "-c", script, environment=isolated, tmpfs=empty)
    assert unpacked.exit_code == 0, unpacked.output
    assert "comes from its archive on /cache" in unpacked.stderr
    assert "True" in unpacked.stdout
    small = starts.run(environment=isolated, tmpfs={"/local": f"exec,mode=1777,size={TOO_SMALL}"})
    assert small.exit_code == 77, small.output
    assert "error[volume-full]: No space is left on /local" in small.stderr, small.output
    assert starts.volume.leftovers() == []
