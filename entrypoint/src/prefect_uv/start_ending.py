"""The end of a start that does not reach the flow: its log line, the flow run's state and the exit code.

Once the engine runs, `engine/supervisor.py` decides what a signal means, and `engine/conclusion.py` reports the end.
"""

from __future__ import annotations

import traceback

from prefect_uv.api.flow_run import AlreadyOver, FlowRun
from prefect_uv.errors import InternalError, PrefectUvError, TemporaryDirectoryMissingError
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.signals import SIGNAL_EXIT, StateCheckNeeded, Terminated

# prefect-kubernetes: any failure makes the infrastructure retry. https://github.com/PrefectHQ/prefect/pull/19223
RELINQUISHED_EXIT = 1
# CPython 3.13: https://github.com/python/cpython/blob/3.13/Lib/tempfile.py (_get_default_tempdir)
NO_TEMPORARY_DIRECTORY = "No usable temporary directory found"
MOUNT_TEMPORARY_DIRECTORY = "Mount something writable at /tmp, such as `--tmpfs /tmp`, or a cache volume at /cache."
REPORT = "This is a bug in prefect-uv; please report it with the traceback in the log."


class ExecutedElsewhere(Exception):  # noqa: N818 (not an error: there is nothing for us to do)
    """A signal to stop arrived, but another container executes the run, whose state is not ours to set."""


def end_start(reason: BaseException, flow_run: FlowRun | None, log: RunLog, sigterm_behavior: str) -> int:
    """Log why the flow was not started, and set the flow run's state.

    Args:
        reason: what stopped the start.
        flow_run: the run; None if it is not known yet, or there is none.
        log: the log.
        sigterm_behavior: the value of PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR.

    Returns:
        the container's exit code.
    """
    try:
        return _end(reason, flow_run, log, sigterm_behavior)
    except AlreadyOver as over:
        log.info(str(over))
        return 0
    except PrefectUvError as error:
        log.warning(f"the flow run's state could not be set: {error}")
        return _exit_code(reason)


def _end(reason: BaseException, flow_run: FlowRun | None, log: RunLog, sigterm_behavior: str) -> int:
    match reason:
        case AlreadyOver():
            raise reason
        case ExecutedElsewhere():
            log.info(f"{reason} arrived: another container executes this flow run, whose state is left alone")
            return RELINQUISHED_EXIT if sigterm_behavior == "relinquish" else 0
        case StateCheckNeeded() if flow_run:
            flow_run.refuse_when_over(again=True)
        case Terminated():
            if flow_run:
                flow_run.hurry()
            log.error(f"{reason} arrived before the flow started.")
            return _end_by_signal(reason, flow_run, log, sigterm_behavior)
        case PrefectUvError():
            log.error(reason.render())
            _crash(flow_run, log.mask(reason.summary()))
        case Exception():
            return _end(catalogued_error(reason), flow_run, log, sigterm_behavior)
    return _exit_code(reason)


def catalogued_error(reason: Exception) -> PrefectUvError:
    """The error of the catalogue for an exception: itself if it is one."""
    if isinstance(reason, PrefectUvError):
        return reason
    if isinstance(reason, FileNotFoundError) and NO_TEMPORARY_DIRECTORY in str(reason):
        headline = "There is no directory for temporary files."
        return TemporaryDirectoryMissingError(headline, str(reason), MOUNT_TEMPORARY_DIRECTORY)
    return InternalError("prefect-uv itself failed.", "".join(traceback.format_exception(reason)), REPORT)


def _end_by_signal(signalled: Terminated, flow_run: FlowRun | None, log: RunLog, sigterm_behavior: str) -> int:
    """Leave a run that is over or Cancelling to its end; reschedule, relinquish or crash any other."""
    if flow_run and flow_run.state().type != "CRASHED":
        flow_run.refuse_when_over(again=True)
    if flow_run and sigterm_behavior == "reschedule":
        log.info(f"flow run {flow_run.name} is {flow_run.reschedule().name}")
        return 0
    if sigterm_behavior == "relinquish":
        return RELINQUISHED_EXIT
    _crash(flow_run, f"{signalled} arrived before the flow started.")
    return _exit_code(signalled)


def _crash(flow_run: FlowRun | None, message: str) -> None:
    """Propose Crashed for a run that could not start, if there is one; one that is Cancelling becomes Cancelled."""
    if flow_run and flow_run.crash(message).cancelling:
        flow_run.refuse_when_over(again=True)


def _exit_code(reason: BaseException) -> int:
    if isinstance(reason, Terminated):
        return SIGNAL_EXIT + reason.signum
    return reason.exit_code if isinstance(reason, PrefectUvError) else InternalError.exit_code
