"""Where archives of code are stored: a path, an address with http(s), or whatever fsspec reads in Prefect's process."""

from __future__ import annotations

import base64
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from prefect_uv.errors import CodeArchiveError, OfflineStepError
from prefect_uv.processes.signals import call_in_thread, pause
from prefect_uv.pull.checkout import Checkout, StepContext
from prefect_uv.urls import USERINFO

REMOTE_FILE = "remote_file"
ATTEMPTS, PAUSE_SECONDS, SILENCE_SECONDS = 3, 1.0, 60.0
TRANSIENT_CODES = {408, 429, *range(500, 600)}
MISSING_HINT = "Deploy again, so that push_code stores the code; and see that nothing deletes it there."


@dataclass(frozen=True)
class CodeStore:
    """A file in a store, and how to get it.

    Attributes:
        url: a path, or an address of any scheme.
        token: a bearer token for http(s).
        headers: further headers for http(s).
        storage_options: fsspec's options for any other scheme.
    """

    url: str
    token: str | None
    headers: Mapping[str, str]
    storage_options: Mapping[str, Any]

    @property
    def scheme(self) -> str:
        """The scheme of the address; empty for a path."""
        return urlsplit(self.url).scheme if "://" in self.url else ""

    @property
    def is_local(self) -> bool:
        """Whether this is a file on a volume that the container has."""
        return self.scheme in {"", "file"}

    def copy_to(self, file: IO[bytes], context: StepContext, checkout: Checkout) -> None:
        """Write what the store has to an open file.

        Raises:
            CodeArchiveError: the store does not have it, or cannot be reached.
            OfflineStepError: the store is remote, and PREFECT_UV_OFFLINE is set.
        """
        if self.is_local:
            path = Path(unquote(urlsplit(self.url).path)) if self.scheme else checkout.base / self.url
            call_in_thread(self._copy_path, path, file)
        elif self.scheme in {"http", "https"}:
            if context.settings.offline:
                headline = "The cache volume does not have the code, and PREFECT_UV_OFFLINE is set."
                hint = "Run the deployment once with network access and this cache volume."
                raise OfflineStepError(headline, f"It would be fetched from {USERINFO.sub('', self.url)}.", hint)
            self._download(file)
        else:
            self._delegate(file, context, checkout)

    def _copy_path(self, path: Path, file: IO[bytes]) -> None:
        try:
            with path.open("rb") as source:
                shutil.copyfileobj(source, file)
        except OSError as error:
            hint = "Mount the directory that push_code writes to at the same path, or give pull_code its path here."
            raise CodeArchiveError(f"The code cannot be read: {path}: {error.strerror}.", hint=hint) from None

    def _download(self, file: IO[bytes]) -> None:
        """Download; only faults of the network and of the server are retried."""
        for attempt in range(1, ATTEMPTS + 1):
            reason, transient = call_in_thread(self._attempt, file)
            if not reason:
                return
            if not transient or attempt == ATTEMPTS:
                raise CodeArchiveError(
                    f"The code could not be fetched: {reason}.", f"From {USERINFO.sub('', self.url)}.", MISSING_HINT
                )
            pause(PAUSE_SECONDS * attempt)

    def _attempt(self, file: IO[bytes]) -> tuple[str, bool]:
        """Why an attempt failed, empty if it did not; and whether another one may help."""
        file.seek(0)
        file.truncate()
        try:
            with urllib.request.urlopen(self._request(), timeout=SILENCE_SECONDS) as response:  # noqa: S310 (http or https)
                shutil.copyfileobj(response, file)
        except urllib.error.HTTPError as error:
            return f"HTTP {error.code} {error.reason}", error.code in TRANSIENT_CODES
        except (OSError, HTTPException) as error:
            return str(error) or type(error).__name__, True
        return "", False

    def _request(self) -> urllib.request.Request:
        """The request; credentials are for this address alone, so they do not follow a redirection.

        CPython 3.13: https://docs.python.org/3/library/urllib.request.html#urllib.request.Request.add_unredirected_header
        """
        parts = urlsplit(self.url)
        login, _, host = parts.netloc.rpartition("@")
        request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))  # noqa: S310 (http or https)
        if login:
            encoded = base64.b64encode(unquote(login).encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {encoded}")
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        for name, value in self.headers.items():
            request.add_unredirected_header(name, value)
        return request

    def _delegate(self, file: IO[bytes], context: StepContext, checkout: Checkout) -> None:
        """Let fsspec fetch it in Prefect's own process, as pull_from_remote_storage does."""
        from prefect_uv.pull.delegated_step import run_delegated_step  # noqa: PLC0415 (few deployments have such a store)

        with tempfile.TemporaryDirectory(prefix="prefect-uv-code-") as private:
            path = Path(private) / "archive"
            inputs = {"url": self.url, "local_path": str(path), "storage_options": {**self.storage_options}}
            run_delegated_step(context, checkout, REMOTE_FILE, inputs, ())
            self._copy_path(path, file)
