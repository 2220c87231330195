"""How long one request to the API may take: each of its attempts, the pauses between them, and everything together."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from prefect_uv.api.connections.connection_pool import HttpResponse
from prefect_uv.processes.signals import LOOK_SECONDS, pause, raise_noted_signal

# `docker stop` kills after ten seconds, of which the log may need five: https://docs.docker.com/reference/cli/docker/container/stop/
HURRIED_SECONDS = 4.0
HURRIED_ATTEMPT_SECONDS = 3.0

Outcome = HttpResponse | Exception


class RetryPolicy(NamedTuple):
    """How many times a request is retried, how many seconds each attempt may take, and how many everything together.

    Pauses and the server's maintenance count for `total`; maintenance does not use up retries, and in the first
    `patient` seconds nothing does.
    """

    retries: float
    timeout: float
    total: float = math.inf
    patient: float = 0.0


class Patience:
    """The time that is left for one request; `hurry` shortens it from another thread, or from a signal handler.

    Each wait notices that within LOOK_SECONDS, and in the main thread it raises a noted signal.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        begun = time.monotonic()
        self._end, self._patient_end = begun + policy.total, begun + policy.patient
        self._attempt_seconds = policy.timeout
        self._attempt_end = math.inf
        self._hurried = False

    def hurry(self) -> None:
        """Leave a few seconds for everything, and end a pause."""
        now = time.monotonic()
        self._end = min(self._end, now + HURRIED_SECONDS)
        self._attempt_seconds = min(self._attempt_seconds, HURRIED_ATTEMPT_SECONDS)
        self._attempt_end = min(self._attempt_end, now + HURRIED_ATTEMPT_SECONDS)
        self._hurried = True

    def allows(self, failures: int) -> bool:
        """Whether a request may be sent again after so many failures."""
        return failures <= self.policy.retries or time.monotonic() < self._patient_end

    def outcome(self, outcomes: SimpleQueue[Outcome]) -> HttpResponse:
        """Wait for the outcome of an attempt that begins now.

        Raises:
            TimeoutError: there is none in time.
        """
        self._attempt_end = time.monotonic() + self._attempt_seconds
        while (seconds := min(self._end, self._attempt_end) - time.monotonic()) > 0:
            raise_noted_signal()
            with suppress(Empty):
                outcome = outcomes.get(timeout=min(seconds, LOOK_SECONDS))
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome
        message = "there was no complete answer in time"
        raise TimeoutError(message)

    def pause(self, seconds: float) -> bool:
        """Wait before the next attempt; False, without waiting, if no time would be left for it."""
        hurried_before, end = self._hurried, time.monotonic() + seconds
        if end >= self._end:
            return False
        while self._hurried == hurried_before and (left := end - time.monotonic()) > 0:
            pause(min(left, LOOK_SECONDS))
        return True
