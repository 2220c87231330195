"""What a container uses: CPU time by its control group, memory of its processes by the kernel's own account.

And what it cannot use: on a virtual machine, other machines take the processors now and then ("steal").
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from docker.models.containers import Container

GROUPS = Path("/sys/fs/cgroup")
STAT = Path("/proc/stat")
CPU_POLL_SECONDS = 0.005
MEMORY_POLL_SECONDS = 0.1
ENGINES = (b"prefect.flow_engine", b"prefect.engine", b"_workspace_runtime_bootstrap.py")


@dataclass
class Taken:
    """The part, 0 to 1, that other machines had of the time when there was work here (`proc(5)`, `/proc/stat`)."""

    share: float = 0.0


@contextmanager
def taken() -> Iterator[Taken]:
    """What is taken meanwhile."""
    found, (before, began) = Taken(), _ticks()
    yield found
    after, ended = _ticks()
    found.share = (after - before) / max(ended - began, 1)


def _ticks() -> tuple[int, int]:
    """What was taken since the machine began, and all that was asked for."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, STAT.read_text().split()[1:9])
    return steal, user + nice + system + irq + softirq + steal


@dataclass
class Used:
    """What was seen until now: seconds of CPU time, and the most bytes of PSS beside the engine."""

    cpu: float = 0.0
    beside: float = 0.0


@contextmanager
def cpu(container: Container) -> Iterator[Used]:
    """CPU time of all its processes, read again and again until its control group is gone."""
    used = Used()

    def look() -> None:
        used.cpu = _cpu(container) or used.cpu

    with _polled(look, CPU_POLL_SECONDS):
        yield used


@contextmanager
def memory(container: Container) -> Iterator[Used]:
    """The most memory (PSS) that everything but the engine's Python had at one time."""
    used = Used()

    def look() -> None:
        used.beside = max(used.beside, sum(_pss(pid) for pid in _pids(container) if not _is_engine(pid)))

    with _polled(look, MEMORY_POLL_SECONDS):
        yield used


@contextmanager
def _polled(look: Callable[[], None], seconds: float) -> Iterator[None]:
    over = threading.Event()

    def poll() -> None:
        while not over.wait(seconds):
            with suppress(OSError):
                look()

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _group(container: Container, controller: str) -> Path:
    """The control group by Docker's cgroupfs or systemd driver, in either version of control groups."""
    names = (f"docker/{container.id}", f"system.slice/docker-{container.id}.scope")
    places = [base / name for base in (GROUPS / controller, GROUPS) for name in names]
    return next((place for place in places if place.is_dir()), places[0])


def _cpu(container: Container) -> float:
    old = _group(container, "cpuacct")
    if (old / "cpuacct.usage").is_file():
        return int((old / "cpuacct.usage").read_text()) / 1e9
    fields = dict(line.split() for line in (old / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"]) / 1e6


def _pids(container: Container) -> list[str]:
    return (_group(container, "cpuacct") / "cgroup.procs").read_text().split()


def _pss(pid: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _is_engine(pid: str) -> bool:
    """The Python that runs the flow; `uv run`, which has the same words in its command line, is not it."""
    program, *words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    named = any(word.endswith(ENGINES) for word in words)
    return named and not program.endswith(b"uv")
