"""One start of the entrypoint, and the one place where it ends in an error."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import ParamSpec, TypeVar

from prefect_uv.api.cancellation_watch import CancellationWatch
from prefect_uv.api.client import ApiClient, Json
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.packages_variable import read_packages_variable
from prefect_uv.errors import SettingsInvalidError
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.signals import Interrupted, Terminated, ignore_signals, interrupt_main, raise_on_signals
from prefect_uv.settings import Settings
from prefect_uv.settings.environment_secrets import secrets_in_addresses
from prefect_uv.termination import end

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
    watch: CancellationWatch | None = None
    status: Callable[[], str] = lambda: "nothing has begun"
    api: ApiClient | None = None
    cleanup: ExitStack = field(default_factory=ExitStack)

    def phase(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Perform a phase and time it."""
        self.status = lambda: f"in phase {name}"
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
        self.api = ApiClient(self.settings)
        self.flow_run = FlowRun(self.api, self.settings.flow_run_id)
        self.log.connect(self.api.send_logs, self.flow_run.id)
        self.flow_run.refuse_when_over()
        self.watch = CancellationWatch(self.settings, self.flow_run, interrupt_main)
        self.cleanup.callback(self.stop_watching)
        deployment = self.flow_run.deployment()
        self.log.info(f"flow run {self.flow_run.name}, entrypoint {deployment['entrypoint']}")
        return deployment

    def extra_packages(self) -> tuple[str, ...]:
        """The deployment's extra packages that a Prefect Variable holds."""
        name = self.settings.extra_packages_variable
        if not name:
            return ()
        packages = read_packages_variable(
            name, self.api or (ApiClient(self.settings) if self.settings.api_url else None)
        )
        self.log.mask.add(*(secret for package in packages for secret in secrets_in_addresses(package)))
        self.log.info(f"extra packages of the Prefect Variable {name!r}: {', '.join(packages) or 'none'}")
        return packages

    def scratch(self) -> Path:
        """An empty directory that goes when this start ends."""
        import tempfile  # noqa: PLC0415 (few need it)

        place = tempfile.TemporaryDirectory(prefix="prefect-uv-", ignore_cleanup_errors=True)
        return Path(self.cleanup.enter_context(place))

    def stop_watching(self) -> None:
        """From now on, nobody asks whether the run should stop."""
        if self.watch is not None:
            self.watch.close()


def start(verb: Callable[[Session], int], environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Perform a verb; whatever stops it becomes a text, a state and an exit code.

    Returns:
        the container's exit code.
    """
    log = RunLog(Mask())
    session = None
    cleanup = ExitStack()
    raise_on_signals()
    try:
        with log.phase("read"):
            settings = Settings.from_environ(environ)
            log.mask.add(*settings.secrets())
        for note in settings.notes:
            log.info(note)
        session = Session(settings, log, arguments, cleanup=cleanup)
        _report_status_on_signal(session)
        return verb(session)
    except (Exception, Terminated, Interrupted) as reason:  # noqa: BLE001 (the boundary: a start ends here)
        ignore_signals()
        flow_run, behavior = (session.flow_run, session.settings.sigterm) if session else (None, "")
        return end(reason, flow_run, log, behavior)
    finally:
        cleanup.close()
        log.close()


def _report_status_on_signal(session: Session) -> None:
    """SIGUSR1 prints where we stand."""

    def tell(_signum: int, _frame: FrameType | None) -> None:
        seen = session.watch.source if session.watch else "off"
        os.write(sys.stderr.fileno(), f"prefect-uv: {session.status()}, watch: {seen}\n".encode())
        faulthandler.dump_traceback()

    signal.signal(signal.SIGUSR1, tell)
