"""An engine that imports Prefect while the API and git are waited for, in the environment that was used last (ADR 37).

Most runs of a deployment start their engine as the run before did. So a start notes how it did, and the next start of
this deployment starts the environment's Python in the same way, at once and without a run. When everything is known,
and that process is what would be started now, it gets the run. Otherwise it is killed.

Until then it has the variables of the container, as the engine before it had, and nothing that belongs to the run.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.cache_volume.shared_umask import own_umask
from prefect_uv.engine.start_up.engine_start import PLACE, EngineStart, note_start, noted_start
from prefect_uv.engine.start_up.import_influences import depends_on_the_run, files_read_at_import, import_influence
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings
from prefect_uv.settings.tool_variables import IMPORT_PATH

if TYPE_CHECKING:
    from prefect_uv.engine.launch import Launch

STDERR = 2
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files


class EarlyEngine:
    """A process that imports Prefect, then waits for a run.

    Attributes:
        start: how it was started.
    """

    def __init__(self, start: EngineStart, settings: Settings, lease: int) -> None:
        """Start it.

        Args:
            start: how.
            settings: the settings of the run to come.
            lease: keeps the environment in use; the process inherits it.

        Raises:
            OSError: the program cannot be started.
        """
        self.start = start
        self._environ = start.environ(settings)
        self._files = files_read_at_import(self._environ)
        receiving, self._sending = os.pipe()
        try:
            with own_umask() as umask:
                self._process = subprocess.Popen(
                    [*start.command, f"--early={receiving}"],
                    env=self._environ,
                    pass_fds=(lease, receiving),
                    start_new_session=True,
                    stderr=None if os.isatty(STDERR) else subprocess.PIPE,
                    umask=umask,
                )
        except BaseException:
            os.close(self._sending)
            raise
        finally:
            os.close(receiving)

    def hand_over(self, launch: Launch, environ: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
        """Give it the run; None if it was discarded or has ended, or the run is too large for its pipe.

        Args:
            launch: the launch that it fits.
            environ: more variables of the run.
        """
        final = {**launch.environ, **environ}
        run = {
            "arguments": launch.arguments,
            "directory": str(launch.directory),
            "environ": {name: value for name, value in final.items() if self._environ.get(name) != value},
            "early_path": self._environ["PATH"],
            "place": PLACE,
            "import_path": final[IMPORT_PATH].split(os.pathsep),
        }
        text = json.dumps(run)
        if self._sending < 0:
            return None
        if self._process.poll() is not None or len(text) > fcntl.fcntl(self._sending, fcntl.F_GETPIPE_SZ):
            self.discard()  # it may wait for us to read its stderr, so we must not wait for it to read
            return None
        with suppress(BrokenPipeError), os.fdopen(self._sending, "w") as pipe:
            self._sending = -1
            pipe.write(text)
        return self._process

    def outdated(self) -> str:
        """Say what has changed since it was started, of what it reads when it imports Prefect; empty if nothing."""
        now = files_read_at_import(self._environ)
        return next((f"{path} has changed" for path, status in now.items() if status != self._files[path]), "")

    def discard(self) -> None:
        """Kill it, unless it has got a run."""
        if self._sending < 0:
            return
        os.close(self._sending)
        self._sending = -1
        with self._process, suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def start_early(settings: Settings, cache: CacheDirectory) -> EarlyEngine | None:
    """Start an engine like the one of the deployment's last run; None if nothing is known of it, or nothing is gained.

    Raises:
        OSError: the program cannot be started.
    """
    if not _is_possible(settings):
        return None
    start = noted_start(settings, cache)
    if start is None or import_influence(Path.cwd(), (), start.modules):
        return None
    if settings.policy == "refuse" and not _is_allowed(Path(start.environment), settings, cache):
        return None
    lease = take_lease(Path(start.environment), touch=False)
    if lease is None:
        return None
    try:
        return EarlyEngine(start, settings, lease)
    finally:
        os.close(lease)


def keep_if_fit(launch: Launch, settings: Settings, cache: CacheDirectory, log: RunLog) -> Launch:
    """The launch with its early engine, if there is one and it is what would be started now.

    Otherwise that is killed, and how this engine is started is noted for the next run.
    """
    if not _is_possible(settings):
        return launch
    if launch.early is not None:
        reason = launch.early.start.misfit(launch, settings) or launch.early.outdated()
        if not reason:
            log.detail("the engine was started early")
            return launch
        log.detail(f"the engine that was started early is not used: {reason}")
        launch.early.discard()
    note_start(launch, settings, cache)
    return replace(launch, early=None)


def _is_allowed(environment: Path, settings: Settings, cache: CacheDirectory) -> bool:
    """Whether the policy lets the environment's Python be started, which runs what packages have in `.pth` files."""
    from prefect_uv.environments.policy.verdict import passes_by_a_stored_verdict  # noqa: PLC0415 (only with a policy)

    return passes_by_a_stored_verdict(environment, settings, cache)


def _is_possible(settings: Settings) -> bool:
    """Whether an engine of this container may start early if a note says how; if not, a note is of no use."""
    if not (settings.early_engine and settings.supervise) or settings.engine_wrapper:
        return False
    return _has_processor_to_spare() and not depends_on_the_run(settings.flow_environ)


def _has_processor_to_spare() -> bool:
    """Whether two processes can run at a time: with one processor, the import would only delay what has to be done."""
    if len(os.sched_getaffinity(0)) < 2:  # noqa: PLR2004
        return False
    try:
        quota, period = CPU_QUOTA.read_text().split()
    except (OSError, ValueError):
        return True
    return quota == "max" or int(quota) >= 2 * int(period)
