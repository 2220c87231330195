"""Sending requests to the API: redirects, retries, and a limit for the time that all of it may take.

Each attempt runs in a thread of its own. So nothing in it can outlast its time, from a name server that does not answer
to a response that comes byte by byte, and the thread that waits for it, often the main one, hears every signal.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from queue import SimpleQueue
from typing import NamedTuple

from prefect_uv.api.connections.connection_pool import ConnectionHolder, ConnectionPool, HttpRequest, HttpResponse
from prefect_uv.api.connections.redirection import RedirectError, redirected
from prefect_uv.api.patience import Patience, RetryPolicy
from prefect_uv.processes.signals import raise_noted_signal
from prefect_uv.settings import Settings
from prefect_uv.urls import Origin

# Those of Prefect 3.8.8, and further ones of servers and gateways that are in trouble:
# https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/client/base.py
# https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/
RETRIED_CODES = {408, 429, 500, 502, 503, 504, *range(520, 531)}
LONGEST_BACKOFF_SECONDS = 10.0
LONGEST_RETRY_AFTER_SECONDS = 120.0
JITTER_SECONDS = 0.2
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5


class ApiRequest(NamedTuple):
    """A request to the API; `path` is relative to the API's URL, and only the API's origin gets the credentials."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]
    credentials: Mapping[str, str]

    @property
    def all_headers(self) -> dict[str, str]:
        """Headers and credentials; the credentials replace headers of the same name."""
        replaced = {name.lower() for name in self.credentials}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in replaced}
        return {**kept, **self.credentials}


class UnansweredError(Exception):
    """All attempts or the time are used up; `response` is the last one's, if it got one."""

    def __init__(self, reason: str, attempts: int, response: HttpResponse | None) -> None:
        super().__init__(reason)
        self.attempts = attempts
        self.response = response


class Transport:
    """Sends requests to the API, through a proxy if the environment names one; safe to use from several threads.

    Raises:
        SettingsInvalidError: the CA bundle cannot be read, or the proxy's URL is invalid.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.api_url
        self._pool = ConnectionPool(settings)
        self._retried_codes = RETRIED_CODES | set(settings.api_retry_codes)
        self._patiences: list[Patience] = []
        self._hurried = False

    def hurry(self) -> None:
        """Let every request, present or future, take a few seconds at most; a signal handler may call this.

        A request that pauses is retried immediately.
        """
        self._hurried = True
        for patience in list(self._patiences):
            patience.hurry()

    def send(self, request: ApiRequest, policy: RetryPolicy) -> HttpResponse:
        """Send a request, and retry as the policy allows.

        Raises:
            UnansweredError: every attempt failed, or got a status code that is retried.
            RedirectError: a redirect cannot be followed.
            BodyTooLargeError: the response is too large.
        """
        patience = Patience(policy)
        self._patiences.append(patience)
        try:
            if self._hurried:
                patience.hurry()
            return self._send_patiently(request, patience)
        finally:
            self._patiences.remove(patience)

    def _send_patiently(self, request: ApiRequest, patience: Patience) -> HttpResponse:
        attempts = failures = 0
        while True:
            attempts += 1
            try:
                response = self._attempt(request, patience)
                if response.status not in self._retried_codes:
                    return response
                reason = f"the server answered {response.status}"
            except (OSError, HTTPException, UnicodeError) as error:
                response, reason = None, str(error) or type(error).__name__
            failures += response is None or response.headers.get("Prefect-Maintenance") != "true"
            if not patience.allows(failures) or not patience.pause(_seconds_until_retry(response, attempts)):
                raise UnansweredError(reason, attempts, response)

    def _attempt(self, request: ApiRequest, patience: Patience) -> HttpResponse:
        """Send once, in a thread; if it takes too long, or a signal interrupts us, leave the thread to its end."""
        holder, outcomes = ConnectionHolder(), SimpleQueue[HttpResponse | Exception]()

        def run() -> None:
            try:
                outcomes.put(self._send_and_follow(request, patience.policy.timeout, holder))
            except Exception as error:  # noqa: BLE001 (raised in the thread that waits)
                outcomes.put(error)

        raise_noted_signal()
        try:
            threading.Thread(target=run, daemon=True, name="request").start()
            return patience.outcome(outcomes)
        finally:
            holder.release()

    def _send_and_follow(self, request: ApiRequest, timeout: float, holder: ConnectionHolder) -> HttpResponse:
        """The response after following redirects; once they have left the API's origin, nobody gets credentials."""
        method, url, body = request.method, self._url + request.path, request.body
        own, trusted = Origin.of(url), True
        for _ in range(MOST_REDIRECTS + 1):
            trusted = trusted and own.trusts(Origin.of(url))
            headers = request.all_headers if trusted else request.headers
            response = self._pool.exchange(HttpRequest(method, url, body, headers), timeout, holder)
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or not location:
                return response
            url = redirected(url, location)
            if response.status == 303:  # noqa: PLR2004 (See Other: the result is fetched with GET)
                method, body = "GET", None
        message = f"more than {MOST_REDIRECTS} times, at last to {url}"
        raise RedirectError(message)


def _seconds_until_retry(response: HttpResponse | None, attempts: int) -> float:
    """The server's Retry-After; without one, no pause before the first retry, then pauses that double."""
    asked = _asked_seconds(response.headers.get("Retry-After", "")) if response else math.nan
    if math.isfinite(asked):
        return min(max(0.0, asked), LONGEST_RETRY_AFTER_SECONDS)
    backoff = 2.0 ** min(attempts - 1, 10) + random.uniform(0, JITTER_SECONDS)  # noqa: S311
    return min(LONGEST_BACKOFF_SECONDS, backoff) if attempts > 1 else 0.0


def _asked_seconds(retry_after: str) -> float:
    """The seconds that a Retry-After asks for, as a number or as a date; not finite if it is neither."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return math.nan
