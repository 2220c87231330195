"""`prefect-uv key` prints the key that a start of the same files gets, and builds nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.commands.environment_key import show_key
from prefect_uv.environments import EnvironmentStore
from prefect_uv.errors import LockfileStaleError
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.option_parser import parse_options
from prefect_uv.session import Session
from tests.unit.conftest import MakeSettings
from tests.unit.etl import Etl, environments, sync

Key = Callable[..., str]

pytestmark = [pytest.mark.uv, pytest.mark.usefixtures("this_image")]


@pytest.fixture
def key(etl: Etl, log: RunLog, make_settings: MakeSettings, cache: Path, capsys: pytest.CaptureFixture[str]) -> Key:
    """A function that runs the command in the project's directory, and returns what it printed."""

    def run(*words: str) -> str:
        options = parse_options(["key", *words])
        settings = make_settings({"PREFECT_UV_CACHE_DIR": str(cache), **options.variables})
        capsys.readouterr()
        with contextlib.chdir(etl.directory):
            assert show_key(Session(settings, log, options)) == 0
        return capsys.readouterr().out

    return run


def test_key_of_a_start(etl: Etl, make_store: Callable[..., EnvironmentStore], key: Key, cache: Path) -> None:
    """The command's key is the one of the environment that is built then, from the same fingerprint; so is a hit's."""
    assert environments(cache) == []
    printed = key().strip()
    assert environments(cache) == [], "nothing was built"
    assert sync(make_store(), etl).key == printed
    assert json.loads(key("--json"))["key"] == printed


def test_extra_packages_have_a_digest(etl: Etl, key: Key) -> None:
    """They change the digest, and not the key of the project's own environment."""
    before = json.loads(key("--json"))
    (etl.directory / "requirements-extras.txt").write_text("helper==1.0\n")
    after = json.loads(key("--json"))
    assert (before["extra"], after["key"]) == ("", before["key"])
    assert len(after["extra"]) == 64


def test_project_that_cannot_be_installed(etl: Etl, key: Key) -> None:
    """A stale lock is refused, as a build refuses it."""
    etl.write("prefect", "helper")
    with pytest.raises(LockfileStaleError):
        key()
