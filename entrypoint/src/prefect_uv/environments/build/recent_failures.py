"""Recent failures: a failed build is remembered for a minute, so that fifty containers do not all repeat it.

Only containers whose build would be the same repeat the error: with the same files, and the same variables that decide
what can be reached or compiled. Whoever corrects one of them, or the file that it names, gets a new attempt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.key.fingerprint import digest_fields
from prefect_uv.errors import OfflinePackageMissingError, SyncError
from prefect_uv.log.mask import Mask

REMEMBERED_SECONDS = 60.0
# uv 0.13.9 writes the status with its reason, git 2.47 after "returned error"; paths have numbers of their own.
# https://docs.astral.sh/uv/concepts/indexes/#ignoring-error-codes
_WRONG_CREDENTIALS = re.compile(
    r"401 Unauthorized|403 Forbidden|returned error: 40[13]\b|Authentication failed"
    r"|could not read (?:Username|Password)|Permission denied \(publickey|Host key verification failed"
)
# Proxies, certificates and credentials; compilers and their options, for which there are no other common names.
# uv 0.13.8: https://docs.astral.sh/uv/reference/environment/#externally-defined-variables
_DECISIVE = re.compile(
    r"(?:UV|SSL|GIT|CMAKE|CARGO)_.+|.+_PROXY|NETRC|PATH|CC|CXX|(?:C|CXX|CPP|LD|RUST)FLAGS", re.IGNORECASE
)
# Too short to find a password by it, and long enough to tell two settings apart.
_DIGITS = 4


@dataclass(frozen=True)
class RecentFailure:
    """The failure of one build, if there is one."""

    cache: CacheDirectory
    path: Path

    @classmethod
    def of(cls, cache: CacheDirectory, key: str, inputs: str, environ: Mapping[str, str]) -> RecentFailure:
        """The failure of this build.

        Args:
            cache: where it is remembered.
            key: the environment's key.
            inputs: the fingerprint of the files that it is built from.
            environ: the variables for uv.
        """
        given = {"NETRC": f"{environ.get('HOME')}/.netrc", **environ}
        variables = ((name, value) for name, value in sorted(given.items()) if _DECISIVE.fullmatch(name))
        fields = (field for name, value in variables for field in (name, value, _file_content(value)))
        return cls(cache, cache.failures / digest_fields([key, inputs, digest_fields(fields)[:_DIGITS]]))

    def remember(self, error: SyncError, mask: Mask) -> None:
        """Store why the build failed, unless the reason concerns this container only: credentials or offline mode."""
        if not (_WRONG_CREDENTIALS.search(error.found) or isinstance(error, OfflinePackageMissingError)):
            texts = {"headline": mask(error.headline), "found": mask(error.found), "hint": error.hint}
            self.cache.write(self.path, json.dumps({"slug": error.slug, **texts}))

    def recall(self) -> SyncError | None:
        """The error of a build that failed within the last minute, with the time of the next attempt, or None."""
        try:
            written = self.path.lstat().st_mtime
            value = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        age = self.cache.now() - written
        if not 0 <= age < REMEMBERED_SECONDS or not self.cache.trusts(self.path):
            return None
        error_class = next(
            (member for member in _with_subclasses(SyncError) if member.slug == value["slug"]), SyncError
        )
        again = (
            f"(Remembered: another container with these settings got this error {age:.0f} s ago;"
            f" the next attempt is in {REMEMBERED_SECONDS - age:.0f} s.)"
        )
        return error_class(f"{value['headline']} {again}", value["found"], value["hint"])

    def forget(self) -> None:
        """Remove the failure once the build has succeeded."""
        with suppress(PermissionError):
            self.cache.delete(self.path)


def _file_content(value: str) -> bytes:
    """What is in the file that a variable names; empty if it names none that can be read."""
    try:
        return Path(value).read_bytes() if Path(value).is_file() else b""
    except (OSError, ValueError):
        return b""


def _with_subclasses(error_class: type[SyncError]) -> Iterator[type[SyncError]]:
    yield error_class
    for subclass in error_class.__subclasses__():
        yield from _with_subclasses(subclass)
