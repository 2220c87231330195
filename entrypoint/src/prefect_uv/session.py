"""What the phases of one start share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from prefect_uv.api.cancellation_watch import CancellationWatch
from prefect_uv.api.client import ApiClient, Json
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.run_claim import RunClaim
from prefect_uv.cache_volume.volume import users_of_volume
from prefect_uv.errors import PrefectUvError, SettingsInvalidError
from prefect_uv.log.lasting_phase import pending_state
from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.command_options import Options
from prefect_uv.processes.signals import Terminated, wake_main_thread
from prefect_uv.settings import Settings

LATE_POLICY = RetryPolicy(1, 3.0, 4.0)
LOCAL_DEPLOYMENT = {"path": "."}  # stands in for a deployment without pull steps

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class StartRecorder(Protocol):
    """Makes the record of a start, and sends it (`record/recorder.py`)."""

    def sending(self) -> AbstractContextManager[None]:
        """A context in which the flow runs while the record is sent."""

    def finish(self) -> None:
        """Wait until it is sent, because this process is about to become another program."""

    def send_failure(self, reason: BaseException, exit_code: int) -> None:
        """Send the record of a start that ends without the flow."""


@dataclass
class Session:
    """What the phases of one start share.

    Attributes:
        settings: the settings.
        log: the log; once the API is known it also goes to the flow run's log.
        options: what the words after the command ask for.
        flow_run: the flow run; None without one, and until the phase `ask`.
        watch: notices that the run is to stop; None without a run, and until the phase `ask`.
        status: says in a few words what is being done, for SIGUSR1.
        api: the API; None until a phase needs it.
        asked: the API was asked for the run, with or without success.
        deployment: what is prepared without a flow run; by default the code in the working directory.
        cleanup: closed when the start ends.
        results: what the phases returned, by name.
        recorder: makes the record of this start; None if no setting asks for one.
    """

    settings: Settings
    log: RunLog
    options: Options = field(default_factory=Options)
    flow_run: FlowRun | None = None
    watch: CancellationWatch | None = None
    status: Callable[[], str] = lambda: "not started yet"
    api: ApiClient | None = None
    asked: bool = False
    deployment: Json = field(default_factory=LOCAL_DEPLOYMENT.copy)
    cleanup: ExitStack = field(default_factory=ExitStack)
    results: dict[str, Any] = field(default_factory=dict)
    recorder: StartRecorder | None = None

    def phase(
        self, name: str, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """Run a function as a phase, timed under its name."""
        self.status = lambda: f"in phase {name}"
        with self.log.phase(name):
            self.results[name] = result = function(*args, **kwargs)
        return result

    def recording(self) -> AbstractContextManager[None]:
        """A context in which the flow runs while the record of its start is sent, if a setting asks for one."""
        return self.recorder.sending() if self.recorder else nullcontext()

    def require_flow_run(self) -> None:
        """Check that there is a flow run to execute.

        Raises:
            SettingsInvalidError: PREFECT__FLOW_RUN_ID is not set.
        """
        if not self.settings.flow_run_id:
            hint = "Let a worker set it, or pass it by hand: `docker run -e PREFECT__FLOW_RUN_ID=…`."
            raise SettingsInvalidError("PREFECT__FLOW_RUN_ID is not set.", hint=hint)

    def ask(self, *, execute: bool = False) -> Json:
        """Ask the API for the flow run and its deployment; from here on our lines go to the run's log.

        Args:
            execute: the run will be executed, so another container that does so is waited for.

        Returns:
            the run's deployment; without a flow run, the one that was given.
        """
        if not self.settings.flow_run_id:
            return self.deployment
        return self.claim_flow_run(execute=execute).deployment()

    def claim_flow_run(self, *, execute: bool = True) -> FlowRun:
        """Ask the API for the flow run, and claim it; a run that is over is refused.

        Args:
            execute: the run will be executed, so another container that does so is waited for.
        """
        flow_run = self._read_flow_run()
        while execute and not self.claim.take():
            self.claim.outwait(self.log.info)
            flow_run.read()
        if self.claim.take():
            flow_run.refuse_when_over()
            doing = partial(pending_state, self.log)
            self.watch = CancellationWatch(self.settings, flow_run, wake_main_thread, doing)
            self.cleanup.callback(self.stop_watching)
        else:
            self.log.info(f"another container executes flow run {flow_run.name}, whose state is left alone")
        return flow_run

    def find_flow_run(self, reason: BaseException) -> FlowRun | None:
        """The flow run whose state a failed start sets; it is asked for now if that was not done before.

        After a signal there are only a few seconds, and an answer that did not come in time is asked for again.
        """
        signalled = isinstance(reason, Terminated)
        known = self.settings.flow_run_id and self.settings.api_url
        if self.flow_run is None and known and (signalled or not self.asked):
            try:
                self._read_flow_run(LATE_POLICY if signalled else None)
            except PrefectUvError as error:
                self.log.warning(f"the flow run's state cannot be set: {error}")
        return self.flow_run

    def _read_flow_run(self, policy: RetryPolicy | None = None) -> FlowRun:
        self.asked = True
        settings = self.settings
        self.api = ApiClient(settings)
        first = RetryPolicy(settings.api_retries, settings.api_timeout, patient=settings.api_wait)
        with logging_progress(self.log, f"waiting for the API at {settings.api_url}"):
            self.flow_run = FlowRun(self.api, settings.flow_run_id, policy or first)
        self.log.connect(self.api.send_logs, self.flow_run.id)
        return self.flow_run

    @cached_property
    def cache(self) -> CacheDirectory:
        """The cache volume, without uv's cache."""
        root = self.settings.cache_dir
        return CacheDirectory(
            root, users_of_volume(root, self.settings.cache_trust), root, self.settings.cache_readonly
        )

    @cached_property
    def claim(self) -> RunClaim:
        """The claim on the run, which is released when this start ends; without it, no state of the run is set."""
        claim = RunClaim(self.cache, self.settings.flow_run_id)
        self.cleanup.callback(claim.release)
        return claim

    def scratch(self) -> Path:
        """Make an empty directory that is removed when this start ends."""
        import tempfile  # noqa: PLC0415 (rarely needed)

        directory = tempfile.TemporaryDirectory(prefix="prefect-uv-", ignore_cleanup_errors=True)
        return Path(self.cleanup.enter_context(directory))

    def stop_watching(self) -> None:
        """Close the cancellation watch, if there is one."""
        if self.watch is not None:
            self.watch.close()
