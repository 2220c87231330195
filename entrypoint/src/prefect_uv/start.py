"""Starting a command, and the single place where a failed start ends."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.command_options import read_options
from prefect_uv.processes.signals import StateCheckNeeded, Terminated, call_on_signals, ignore_signals
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv.settings.environment_secrets import secrets_in


def start(verb: Callable[[Session], int], environ: Mapping[str, str], words: Sequence[str]) -> int:
    """Run a command of prefect-uv; if anything stops it, log why and set the flow run's state.

    Args:
        verb: the function of the command.
        environ: the container's environment variables.
        words: the command and the words after it; empty if there are none after it.

    Returns:
        the container's exit code.
    """
    log = RunLog(Mask())
    session = None
    cleanup = ExitStack()
    cleanup.enter_context(log.reporting_threads())
    try:
        with log.phase("read"):
            log.mask.add(*secrets_in(environ))
            options = read_options(words)
            settings = Settings.read({**environ, **options.variables})
            log.mask.add(*settings.secrets())
        session = Session(settings, log, options, cleanup=cleanup)
        if settings.is_recorded:
            from prefect_uv.record.recorder import Recorder  # noqa: PLC0415 (only if a setting asks for it)

            session.recorder = Recorder(session, words[0] if words else verb.__name__)
        settings.refuse_mistakes()
        log.verbose = settings.verbose
        for warning in settings.warnings:
            log.warning(warning)
        for note in settings.notes:
            log.info(note)
        _report_status_on_signal(session)
        return verb(session)
    except (Exception, Terminated, StateCheckNeeded) as reason:  # noqa: BLE001 (the one place where a start ends)
        from prefect_uv.start_ending import ExecutedElsewhere, end_start  # noqa: PLC0415 (it imports what asks the API)

        ignore_signals()
        if session is None:
            return end_start(reason, None, log, "")
        from prefect_uv.session.run_lookup import find_flow_run  # noqa: PLC0415 (as above)

        flow_run = find_flow_run(session, reason)
        if not session.claim.take():
            flow_run, reason = None, ExecutedElsewhere(reason) if isinstance(reason, Terminated) else reason
        if flow_run is not None:
            call_on_signals(flow_run.hurry)
        explained = _explain_system_error(reason, session.settings.cache_dir)
        code = end_start(explained, flow_run, log, session.settings.sigterm_behavior)
        if session.recorder:
            session.recorder.send_failure(explained, code)
        return code
    finally:
        cleanup.close()
        log.close()


def _explain_system_error(reason: BaseException, volume: Path) -> BaseException:
    """Our error for a full disk, wherever it was found; any other reason as it is."""
    if not isinstance(reason, OSError):
        return reason
    from prefect_uv.cache_volume.full_disk import explain_disk_full, is_disk_full  # noqa: PLC0415 (rarely needed)

    return explain_disk_full(reason, volume) if is_disk_full(reason) else reason


def _report_status_on_signal(session: Session) -> None:
    """Let SIGUSR1 print what is being done, and the stack of every thread."""

    def report(_signum: int, _frame: FrameType | None) -> None:
        source = session.watch.source if session.watch else "off"
        line = session.log.mask(f"prefect-uv: {session.status()}, watch: {source}\n")
        os.write(sys.stderr.fileno(), line.encode(errors="backslashreplace"))
        faulthandler.dump_traceback()

    signal.signal(signal.SIGUSR1, report)
