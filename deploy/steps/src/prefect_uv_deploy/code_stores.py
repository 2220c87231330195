"""Where archives of code are stored: a path, a server that takes PUT, or whatever fsspec writes to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import httpx

from prefect_uv_deploy.errors import CodeStoreError

SECONDS = 60.0
NOT_FOUND = 404
LACKING = "Install what fsspec needs for {scheme}: the extra `s3`, `gcs` or `azure` of prefect-uv-deploy."


@dataclass(frozen=True)
class CodeStore:
    """One file in a store.

    Attributes:
        url: a path, or an address of any scheme.
        token: a bearer token for http(s).
        headers: further headers for http(s).
        storage_options: fsspec's options for any other scheme.
    """

    url: str
    token: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    storage_options: Mapping[str, Any] = field(default_factory=dict)

    def put(self, file: Path) -> bool:
        """Store a file, unless it is there already: its name says what is in it.

        Returns:
            whether it was stored now.

        Raises:
            CodeStoreError: the store cannot be written to.
        """
        if self._is_local:
            return self._copy_in(file)
        return self._put_http(file) if self._is_http else self._put_fsspec(file)

    def get(self, file: IO[bytes]) -> None:
        """Write what the store has to an open file.

        Raises:
            CodeStoreError: the store does not have it, or cannot be read.
        """
        try:
            if self._is_local:
                with self._path.open("rb") as source:
                    shutil.copyfileobj(source, file)
            elif self._is_http:
                with self._client() as client, client.stream("GET", self.url) as response:
                    response.raise_for_status()
                    for block in response.iter_bytes():
                        file.write(block)
            else:
                file_system, path = self._file_system()
                with file_system.open(path, "rb") as source:
                    shutil.copyfileobj(source, file)
        except (OSError, httpx.HTTPError) as error:
            raise CodeStoreError(f"The code cannot be fetched from {_shown(self.url)}: {_reason(error)}.") from None

    @property
    def _is_local(self) -> bool:
        return "://" not in self.url or self.url.startswith("file://")

    @property
    def _is_http(self) -> bool:
        return self.url.startswith(("http://", "https://"))

    @property
    def _path(self) -> Path:
        return Path(unquote(urlsplit(self.url).path)) if "://" in self.url else Path(self.url)

    def _copy_in(self, file: Path) -> bool:
        if self._path.is_file():
            return False
        unfinished = self._path.with_name(f".{self._path.name}-{uuid4().hex}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, unfinished)
            unfinished.chmod(0o644)
            os.replace(unfinished, self._path)  # noqa: PTH105 (as atomic as rename, on every system)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise CodeStoreError(f"The code cannot be stored as {self._path}: {error.strerror}.") from None
        return True

    def _put_http(self, file: Path) -> bool:
        try:
            with self._client() as client:
                if client.head(self.url).is_success:
                    return False
                with file.open("rb") as content:
                    size = str(file.stat().st_size)
                    client.put(self.url, content=content, headers={"Content-Length": size}).raise_for_status()
        except httpx.HTTPError as error:
            raise CodeStoreError(f"The code cannot be stored at {_shown(self.url)}: {_reason(error)}.") from None
        return True

    def _put_fsspec(self, file: Path) -> bool:
        try:
            file_system, path = self._file_system()
            if file_system.exists(path):
                return False
            try:
                file_system.put_file(str(file), path)
            except FileNotFoundError:  # where directories are not just parts of names
                file_system.makedirs(path.rpartition("/")[0], exist_ok=True)
                file_system.put_file(str(file), path)
        except OSError as error:
            raise CodeStoreError(f"The code cannot be stored at {_shown(self.url)}: {_reason(error)}.") from None
        return True

    def _file_system(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs  # noqa: PLC0415 (a path or a server needs no fsspec)

        try:
            found: tuple[Any, str] = url_to_fs(self.url, **self.storage_options)
        except ImportError as error:
            scheme = self.url.partition("://")[0]
            raise CodeStoreError(f"{error}. {LACKING.format(scheme=scheme)}") from None
        return found

    def _client(self) -> httpx.Client:
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.Client(headers={**authorization, **self.headers}, timeout=SECONDS, follow_redirects=True)


def _shown(url: str) -> str:
    """An address without its login."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else url


def _reason(error: Exception) -> str:
    """What went wrong. httpx names the address, which may have a login."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.response.status_code} {error.response.reason_phrase}"
    return str(error) or type(error).__name__
