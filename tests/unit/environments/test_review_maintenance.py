"""Review: a full disk keeps nobody from collecting garbage."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_uv.environments import maintenance
from prefect_uv.environments.maintenance import Maintenance
from prefect_uv.environments.published_environments import Environment, PublishedEnvironments
from prefect_uv.log.run_log import RunLog
from tests.unit.conftest import MakeSettings
from tests.unit.engine.test_bundled_imports import cache, environment  # noqa: F401


def test_full_disk(
    environment: Path, cache, make_settings: MakeSettings, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:  # noqa: F811
    collected = []
    monkeypatch.setattr(maintenance, "collect_garbage", lambda *_: collected.append(True))
    monkeypatch.setattr(maintenance, "prune_uv_cache", lambda *_: None)
    monkeypatch.setattr(
        Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
    )
    used = Environment(environment, "a" * 64, True, "3.9.1", "3.11", cache.uv_cache, environment, 0)
    Maintenance(PublishedEnvironments(cache), make_settings({}), log, used, ())._collect()
    assert collected
