"""What the phases of one start share, without what asks the API: `run_lookup` does, and is imported later (ADR 37)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.run_claim import RunClaim
from prefect_uv.cache_volume.volume import users_of_volume
from prefect_uv.errors import SettingsInvalidError
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.command_options import Options
from prefect_uv.settings import Settings

if TYPE_CHECKING:
    from prefect_uv.api.cancellation_watch import CancellationWatch
    from prefect_uv.api.client import ApiClient, Json
    from prefect_uv.api.flow_run import FlowRun
    from prefect_uv.api.server_version import ServerVersion

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
        server_version: the server's version, which is asked for while the start goes on; None as `flow_run`.
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
    server_version: ServerVersion | None = None
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
