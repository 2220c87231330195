"""What a container uses: CPU time, from its control group, and memory, from the kernel's figures for each process.

And what it could not use, because on a virtual machine other machines take processor time: steal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from docker.models.containers import Container

CONTROL_GROUPS = Path("/sys/fs/cgroup")
STAT = Path("/proc/stat")
CPU_POLL_SECONDS = 0.005
MEMORY_POLL_SECONDS = 0.1
# A flow's engine has one of these in its command line: a module, or the script that starts the module.
# Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/runner/_workspace_runtime_bootstrap.py
FLOW_ENGINES = (b"prefect.flow_engine", b"prefect.engine", b"_workspace_runtime_bootstrap.py")
EARLY_ENGINE = b"--early="  # EARLY_OPTION of prefect_uv/engine/_run_module.py


@dataclass
class Steal:
    """The fraction, 0 to 1, of the requested processor time that other virtual machines took."""

    fraction: float = 0.0


@contextmanager
def steal() -> Iterator[Steal]:
    """Measure the steal of the machine during the context."""
    measured, (stolen_before, requested_before) = Steal(), _ticks()
    yield measured
    stolen, requested = _ticks()
    measured.fraction = (stolen - stolen_before) / max(requested - requested_before, 1)


def _ticks() -> tuple[int, int]:
    """The clock ticks that were stolen since the machine booted, and all that were requested.

    Linux: https://man7.org/linux/man-pages/man5/proc_stat.5.html
    """
    user, nice, system, _idle, _iowait, irq, softirq, stolen = map(int, STAT.read_text().split()[1:9])
    return stolen, user + nice + system + irq + softirq + stolen


@dataclass
class Usage:
    """What a container has used so far: seconds of CPU time, or the peak of its memory in bytes of PSS."""

    cpu: float = 0.0
    memory: float = 0.0


@contextmanager
def cpu(container: Container) -> Iterator[Usage]:
    """Measure the CPU time of all processes, by polling until the control group is gone."""
    usage = Usage()

    def read() -> None:
        usage.cpu = _cpu(container) or usage.cpu

    with _polling(read, CPU_POLL_SECONDS):
        yield usage


@contextmanager
def memory(container: Container) -> Iterator[Usage]:
    """Measure the peak of the memory (PSS) that all processes but the flow's engine have together."""
    usage = Usage()

    def read() -> None:
        usage.memory = max(usage.memory, sum(_pss(pid) for pid in _pids(container) if not _is_flow_engine(pid)))

    with _polling(read, MEMORY_POLL_SECONDS):
        yield usage


@contextmanager
def _polling(read: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `read` every so many seconds in a thread, during the context."""
    over = threading.Event()

    def poll() -> None:
        while not over.wait(seconds):
            with suppress(OSError):
                read()

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _control_group(container: Container, controller: str) -> Path:
    """The container's control group, with Docker's cgroupfs or systemd driver, in version 1 or 2 of control groups."""
    names = (f"docker/{container.id}", f"system.slice/docker-{container.id}.scope")
    paths = [base / name for base in (CONTROL_GROUPS / controller, CONTROL_GROUPS) for name in names]
    return next((path for path in paths if path.is_dir()), paths[0])


def _cpu(container: Container) -> float:
    """The seconds of CPU time of a control group, of either version."""
    group = _control_group(container, "cpuacct")
    if (group / "cpuacct.usage").is_file():
        return int((group / "cpuacct.usage").read_text()) / 1e9
    fields = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"]) / 1e6


def _pids(container: Container) -> list[str]:
    return (_control_group(container, "cpuacct") / "cgroup.procs").read_text().split()


def _pss(pid: str) -> float:
    """The bytes of memory of a process, with a share of what it has in common with others.

    Linux: https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _is_flow_engine(pid: str) -> bool:
    """Whether a process is the Python that runs the flow; `uv run`, whose arguments name it too, is not."""
    program, *arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    names_engine = any(argument.endswith(FLOW_ENGINES) or argument.startswith(EARLY_ENGINE) for argument in arguments)
    return names_engine and not program.endswith(b"uv")
