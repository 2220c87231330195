"""Where a record goes: to stderr, into files, to the run's page, and to the collector of traces."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.api.client import Json
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.errors import PrefectUvError
from prefect_uv.record.run_artifact import artifact_of
from prefect_uv.record.span_exporter import SpanExporter, SpansRefusedError
from prefect_uv.record.trace_context import TraceSearch
from prefect_uv.session import Session

ARTIFACT_POLICY = RetryPolicy(1, 10.0, 20.0)
LAST_POLICY = RetryPolicy(0, 3.0, 4.0)


@dataclass(frozen=True)
class Delivery:
    """Brings a record where the settings say; a place that takes nothing costs a line of the log.

    Attributes:
        session: the start.
        ended: set when the flow has ended, so that there is little time left.
        document: the record.
    """

    session: Session
    ended: threading.Event
    document: Json

    def write(self) -> None:
        """Write it to the files and to stderr."""
        places = self.session.settings.record
        for place in (place for place in places if "/" in place):
            try:
                _write_file(Path(place), self.document, directory=place.endswith("/"))
            except OSError as error:
                self.session.log.warning(f"the record of this start could not be written: {error}")
        if "stderr" in places:
            self.session.log.document(json.dumps(self.document, ensure_ascii=False))

    def post(self) -> None:
        """Send it to the run's page and to the collector."""
        session = self.session
        if session.api is None or session.flow_run is None:
            return
        if "artifact" in session.settings.record:
            try:
                policy = LAST_POLICY if self.ended.is_set() else ARTIFACT_POLICY
                session.api.create_artifact(artifact_of(self.document, session.flow_run.id), policy)
            except (PrefectUvError, NotFoundError) as error:
                session.log.warning(f"the record of this start is not on the run's page: {error or 'no such API'}")
        exporter = SpanExporter.of(session.settings, session.log)
        if exporter is None:
            return
        trace = TraceSearch(session.api, session.flow_run, self.ended).find()
        try:
            exporter.export(self.document, session.log.begins, trace)
        except SpansRefusedError as error:
            session.log.warning(
                f"the spans of this start were not sent: {error} (PREFECT_UV_RECORD=no-spans sends none)"
            )


def _write_file(path: Path, document: Json, *, directory: bool) -> None:
    """Write the record into a file, or into one of its own in a directory, which is made."""
    if directory:
        path.mkdir(parents=True, exist_ok=True)
        run = document["flow_run"] or {}
        path /= f"{run.get('id') or document['began'].replace(':', '')}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
