"""Claims on flow runs among real processes: living, killed, stopped, and on other nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect_uv.cache_volume import run_claim
from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.run_claim import RunClaim
from tests.unit.cache_volume.holders import holding_process
from tests.unit.program.test_processes import wait_until

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
HOLD = """
import sys, time
from pathlib import Path
from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.run_claim import RunClaim
claim = RunClaim(CacheDirectory(Path(sys.argv[1]), (), Path(sys.argv[1])), sys.argv[2])
assert claim.take()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CacheDirectory:
    """An empty volume on which one soon passes for silent."""
    monkeypatch.setattr(run_claim, "CLAIM_POLL_SECONDS", 0.01)
    monkeypatch.setattr(run_claim, "CLAIM_SILENT_SECONDS", 0.5)
    return CacheDirectory(tmp_path, {os.geteuid()}, tmp_path)


@pytest.fixture
def holder(cache: CacheDirectory) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the claim."""
    with holding_process(HOLD, str(cache.root), RUN) as process:
        yield process


@contextmanager
def waiting(cache: CacheDirectory) -> Iterator[tuple[threading.Thread, list[str]]]:
    """A thread that waits for the claim, and what it reports."""
    lines: list[str] = []
    claim = RunClaim(cache, RUN)
    assert not claim.take()
    thread = threading.Thread(target=claim.outwait, args=(lines.append,), daemon=True)
    thread.start()
    wait_until(lambda: bool(lines))
    yield thread, lines
    thread.join(20)
    assert not thread.is_alive()
    assert claim.take()
    claim.release()
    assert list(cache.locks.iterdir()) == []


def pretend_another_node(cache: CacheDirectory) -> Path:
    """Make the claim's file look as if a process of another node had written it."""
    path = cache.locks / f"run-{RUN}"
    path.write_text("another-boot-id another-node 7\n")
    return path


def test_free_claim_is_taken(cache: CacheDirectory) -> None:
    """A run has one claim, which is free again once it is released; another run has another one."""
    claim = RunClaim(cache, RUN)
    assert claim.take()
    assert not RunClaim(cache, RUN).take()
    assert RunClaim(cache, "another-run").take()
    claim.release()
    assert RunClaim(cache, RUN).take()


def test_claim_of_a_killed_process_is_taken(cache: CacheDirectory, holder: subprocess.Popen[str]) -> None:
    """A container that is started again after the first was killed goes on: it is a real retry."""
    with waiting(cache) as (thread, lines):
        assert thread.is_alive()
        holder.kill()
    assert lines == [f"{os.uname().nodename} process {holder.pid} executes this flow run: waiting until it has ended"]


def test_stopped_process_of_this_node_keeps_its_claim(cache: CacheDirectory, holder: subprocess.Popen[str]) -> None:
    """On one node the lock alone is proof, however long its holder does nothing."""
    holder.send_signal(signal.SIGSTOP)
    with waiting(cache) as (thread, lines):
        time.sleep(3 * run_claim.CLAIM_SILENT_SECONDS)
        assert thread.is_alive()
        assert len(lines) == 1
        holder.kill()


@pytest.mark.usefixtures("holder")
def test_silent_process_of_another_node_loses_its_claim(cache: CacheDirectory) -> None:
    """A lock that a lost node left behind does not keep the next attempt from running."""
    pretend_another_node(cache)
    with waiting(cache) as (_, lines):
        pass
    assert lines[-1].startswith("another-node process 7 has been silent for ")


def test_living_process_of_another_node_keeps_its_claim(cache: CacheDirectory, holder: subprocess.Popen[str]) -> None:
    """As long as its heartbeat is seen, it is waited for."""
    path = pretend_another_node(cache)
    with waiting(cache) as (thread, lines):
        for _ in range(30):
            os.utime(path)
            time.sleep(0.05)
        assert thread.is_alive()
        assert len(lines) == 1
        holder.kill()


def test_claim_of_the_next_attempt_survives_our_end(cache: CacheDirectory) -> None:
    """A claim that was released, or lost, is not taken from its new holder."""
    first, second = RunClaim(cache, RUN), RunClaim(cache, RUN)
    assert first.take()
    (cache.locks / f"run-{RUN}").unlink()
    assert second.take()
    first.release()
    first.release()
    assert (cache.locks / f"run-{RUN}").exists()


@pytest.mark.parametrize("read_only", [True, False])
def test_no_claim_without_a_volume(cache: CacheDirectory, *, read_only: bool) -> None:
    """Where nothing can be written, nothing is claimed, and nobody waits."""
    root = cache.root if read_only else cache.root / "missing"
    assert RunClaim(CacheDirectory(root, (), root, read_only), RUN).take()
    assert list(cache.root.iterdir()) == []
