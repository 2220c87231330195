"""A start without a cache volume says so, because every run then builds its environment again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv import recipe
from prefect_uv.cache_volume import cache_directory
from prefect_uv.start import start
from tests.unit.etl import Etl

ROOT_ALONE = "1 0 0:1 / / rw,relatime - overlay overlay rw\n"
MOUNT = "2 1 0:2 / {} rw,relatime - ext4 /dev/sda1 rw\n"
Starts = Callable[..., list[str]]


@pytest.fixture
def starts(
    etl: Etl, cache: Path, this_image: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Starts:
    """Starts `prefect-uv sync` in the project, in a container with these mounts, and returns its warnings."""
    assert this_image
    monkeypatch.chdir(etl.directory)
    table = cache.with_name("mountinfo")
    monkeypatch.setattr(cache_directory, "MOUNT_TABLE", table)

    def sync(mounts: str, **variables: str) -> list[str]:
        table.write_text(mounts)
        environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PREFECT_UV_CACHE_DIR": str(cache)}
        assert start(recipe.sync, {**environ, **variables}, []) == 0
        return [line for line in capsys.readouterr().err.splitlines() if "warning: " in line]

    return sync


def test_build_without_a_volume(starts: Starts, cache: Path) -> None:
    """A build is followed by one line with the remedy; an environment that is there already by none."""
    (warning,) = starts(ROOT_ALONE)
    assert warning == (
        f"prefect-uv: warning: no volume is mounted at {cache}, so this environment is deleted with the container, and"
        f" every run builds one: mount a volume there, such as `--volume prefect-uv-cache:{cache}`"
    )
    assert starts(ROOT_ALONE) == []


def test_build_on_a_volume(starts: Starts, cache: Path) -> None:
    """Whatever is mounted there is somebody's choice."""
    assert starts(ROOT_ALONE + MOUNT.format(cache)) == []


def test_build_without_a_writable_cache(starts: Starts) -> None:
    """If the cache may not be written to, its own warning says what becomes of the environment."""
    (warning,) = starts(ROOT_ALONE, PREFECT_UV_CACHE_READONLY="true")
    assert "is read-only (PREFECT_UV_CACHE_READONLY): environments that it lacks are built in " in warning
