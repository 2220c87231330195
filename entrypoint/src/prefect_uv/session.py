"""One start of the entrypoint, and the one place where it ends in an error."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from prefect_uv.api import Api, Json, NotFoundError
from prefect_uv.errors import ApiRefusedError, ApiUnreachableError, InternalError, PrefectUvError, SettingsInvalidError
from prefect_uv.flowrun import FlowRun, Settled
from prefect_uv.mask import Mask
from prefect_uv.process import Terminated, raise_on_signals
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings

SIGNALLED = 128
REPORT = "This is a fault of prefect-uv: please report it with the lines above."
HERE = {"path": "."}

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Session:
    """Settings, log and arguments of one start, and the flow run once the API has told it."""

    settings: Settings
    log: RunLog
    arguments: Sequence[str] = ()
    flow_run: FlowRun | None = None
    api: Api | None = None

    def phase(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Perform a phase and time it."""
        with self.log.phase(name):
            return function(*args, **kwargs)

    def require_flow_run(self) -> None:
        """There must be a flow run to execute.

        Raises:
            SettingsInvalidError: PREFECT__FLOW_RUN_ID is not set.
        """
        if not self.settings.flow_run_id:
            hint = "The worker sets it; by hand: `docker run -e PREFECT__FLOW_RUN_ID=…`."
            raise SettingsInvalidError("PREFECT__FLOW_RUN_ID is not set.", hint=hint)

    def ask(self) -> Json:
        """The deployment of the flow run, whose log gets our lines from here on; without a run, the code is here."""
        if not self.settings.flow_run_id:
            return HERE
        self.api = Api(self.settings)
        self.flow_run = FlowRun(self.api, self.settings.flow_run_id)
        self.log.connect(self.api.send_logs, self.flow_run.id)
        self.flow_run.refuse_when_settled()
        deployment = self.flow_run.deployment()
        self.log.info(f"flow run {self.flow_run.name}, entrypoint {deployment['entrypoint']}")
        return deployment


def start(verb: Callable[[Session], int], environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Perform a verb; whatever stops it becomes a text, a state and an exit code.

    Returns:
        the container's exit code.
    """
    log = RunLog(Mask())
    session = None
    raise_on_signals()
    try:
        with log.phase("read"):
            settings = Settings.from_environ(environ)
            log.mask.add(*settings.secrets())
        session = Session(settings, log, arguments)
        return verb(session)
    except Settled as reason:
        log.info(str(reason))
        return 0
    except Terminated as order:
        message = f"{order} arrived before the flow started."
        log.error(message)  # noqa: TRY400 (a run's log, not a logger)
        _tell(session, message)
        return SIGNALLED + order.signum
    except PrefectUvError as error:
        return _stop(session, log, error)
    except Exception:  # noqa: BLE001 (the boundary: our own fault ends here)
        return _stop(session, log, InternalError("prefect-uv itself failed.", traceback.format_exc(), REPORT))
    finally:
        log.close()


def _stop(session: Session | None, log: RunLog, error: PrefectUvError) -> int:
    log.error(error.render())
    _tell(session, log.mask(error.summary()))
    return error.exit_code


def _tell(session: Session | None, message: str) -> None:
    """Propose Crashed for a run that could not start; where that fails, the exit code tells the worker."""
    if session is None or session.flow_run is None:
        return
    try:
        session.flow_run.crash(message)
    except (ApiUnreachableError, ApiRefusedError, NotFoundError) as error:
        session.log.warning(f"the flow run's state could not be set: {error}")
