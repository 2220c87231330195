"""Makes the record of a start and sends it: in a thread while the flow runs, or at the end of a start that failed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect_uv.api.client import Json
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.errors import PrefectUvError
from prefect_uv.record.run_artifact import artifact_of
from prefect_uv.record.span_exporter import SpanExporter, SpansRefusedError
from prefect_uv.record.start_record import describe_failure, describe_start, received_bytes
from prefect_uv.record.trace_context import TraceSearch
from prefect_uv.session import Session

LAUNCH_SECONDS = 0.2
"""How long the engine has to fail at once, before the start counts as one that started it."""
ARTIFACT_POLICY = RetryPolicy(1, 10.0, 20.0)
LAST_POLICY = RetryPolicy(0, 3.0, 4.0)
LAST_SECONDS = 5.0
LOWEST_PRIORITY = 19


class Recorder:
    """Makes the record of one start, and sends it where the settings say."""

    def __init__(self, session: Session, command: str) -> None:
        """Begin.

        Args:
            session: the start.
            command: the command of prefect-uv, such as `run`.
        """
        self._session = session
        self._command = command
        self._received_before = received_bytes()
        self._ended = threading.Event()
        self._launch_failed = False
        self._thread = threading.Thread(target=self._send_meanwhile, daemon=True, name="record")

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send the record in a thread; at the end of the block, wait for it for a few seconds at most."""
        self._thread.start()
        try:
            yield
        except BaseException:
            self._launch_failed = True
            raise
        finally:
            self.finish()

    def finish(self) -> None:
        """Let what is being sent be sent now; wait for that for a few seconds at most."""
        self._ended.set()
        self._thread.join(LAST_SECONDS)

    def send_failure(self, reason: BaseException, exit_code: int) -> None:
        """Send the record of a start that ends without the flow, within a few seconds, if it was one for a flow run."""
        if not self._session.settings.flow_run_id:
            return
        self._ended.set()
        try:
            document = describe_failure(self._session, self._command, self._received_before, reason, exit_code)
            if document["outcome"] == "failed":
                self._post_soon(document)
            self._write(document)
        except Exception as error:  # noqa: BLE001 (a record must not change how a start ends)
            self._session.log.warning(f"there is no record of this start: {error!r}")

    def _send_meanwhile(self) -> None:
        self._ended.wait(LAUNCH_SECONDS)
        if self._launch_failed:
            return
        try:
            document = describe_start(self._session, self._command, self._received_before)
            self._write(document)
            # Linux 6.12: the nice value is per thread. https://man7.org/linux/man-pages/man2/setpriority.2.html
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
            self._post(document)
        except Exception as error:  # noqa: BLE001 (a record must not disturb a run)
            self._session.log.warning(f"there is no record of this start: {error!r}")

    def _write(self, document: Json) -> None:
        """Write it to the files and to stderr, as the settings say."""
        places = self._session.settings.record
        for place in (place for place in places if "/" in place):
            try:
                _write_file(Path(place), document, directory=place.endswith("/"))
            except OSError as error:
                self._session.log.warning(f"the record of this start could not be written: {error}")
        if "stderr" in places:
            self._session.log.document(json.dumps(document, ensure_ascii=False))

    def _post_soon(self, document: Json) -> None:
        """Send it within a few seconds, or not at all."""
        thread = threading.Thread(target=self._post, args=(document,), daemon=True, name="record")
        thread.start()
        thread.join(LAST_SECONDS)

    def _post(self, document: Json) -> None:
        """Send it to the run's page and to the collector, as the settings say."""
        session = self._session
        if session.api is None or session.flow_run is None:
            return
        if "artifact" in session.settings.record:
            try:
                policy = LAST_POLICY if self._ended.is_set() else ARTIFACT_POLICY
                session.api.create_artifact(artifact_of(document, session.flow_run.id), policy)
            except (PrefectUvError, NotFoundError) as error:
                session.log.warning(f"the record of this start is not on the run's page: {error or 'no such API'}")
        self._export_spans(document)

    def _export_spans(self, document: Json) -> None:
        session = self._session
        exporter = SpanExporter.of(session.settings, session.log)
        if exporter is None or session.api is None or session.flow_run is None:
            return
        trace = TraceSearch(session.api, session.flow_run, self._ended).find()
        try:
            exporter.export(document, session.log.begins, trace)
        except SpansRefusedError as error:
            session.log.warning(f"the spans of this start were not sent: {error}")


def _write_file(path: Path, document: Json, *, directory: bool) -> None:
    """Write the record into a file, or into one of its own in a directory, which is made."""
    if directory:
        path.mkdir(parents=True, exist_ok=True)
        run = document["flow_run"] or {}
        path /= f"{run.get('id') or document['began'].replace(':', '')}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
