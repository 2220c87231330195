"""Makes the record of a start and sends it: in a thread while the flow runs, or at the end of a start that failed.

What that needs is imported when it is time, so that a start with a record waits for nothing either.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prefect_uv.record.network_counters import received_bytes
from prefect_uv.session import Session

LAUNCH_SECONDS = 0.2
"""How long the engine has to fail at once, before the start counts as one that started it."""
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
            self._send_failure(reason, exit_code)
        except Exception as error:  # noqa: BLE001 (a record must not change how a start ends)
            self._session.log.warning(f"there is no record of this start: {error!r}")

    def _send_failure(self, reason: BaseException, exit_code: int) -> None:
        from prefect_uv.record.delivery import Delivery  # noqa: PLC0415 (at the end of a start that failed)
        from prefect_uv.record.start_record import describe_failure  # noqa: PLC0415

        document = describe_failure(self._session, self._command, self._received_before, reason, exit_code)
        delivery = Delivery(self._session, self._ended, document)
        if document["outcome"] == "failed":
            thread = threading.Thread(target=delivery.post, daemon=True, name="record")
            thread.start()
            thread.join(LAST_SECONDS)
        delivery.write()

    def _send_meanwhile(self) -> None:
        self._ended.wait(LAUNCH_SECONDS)
        if self._launch_failed:
            return
        try:
            from prefect_uv.record.delivery import Delivery  # noqa: PLC0415 (the engine has been started)
            from prefect_uv.record.start_record import describe_start  # noqa: PLC0415

            document = describe_start(self._session, self._command, self._received_before)
            delivery = Delivery(self._session, self._ended, document)
            delivery.write()
            # Linux 6.12: the nice value is per thread. https://man7.org/linux/man-pages/man2/setpriority.2.html
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
            delivery.post()
        except Exception as error:  # noqa: BLE001 (a record must not disturb a run)
            self._session.log.warning(f"there is no record of this start: {error!r}")
