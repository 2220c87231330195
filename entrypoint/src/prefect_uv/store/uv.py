"""uv's commands as the store uses them, and what their failures mean (texts and exit codes of uv 0.13.8)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import (
    HashMismatchError,
    IndexUnreachableError,
    LockfileStaleError,
    PackageNotFoundError,
    PrefectUvError,
    ProjectInvalidError,
    PythonMissingError,
    SyncError,
    VolumeFullError,
    VolumeUnusableError,
)
from prefect_uv.image import Image
from prefect_uv.process import Finished, run
from prefect_uv.project import Locked
from prefect_uv.store.registries import for_judging

QUIET = ("--no-progress", "--color", "never")

_FAILURES: tuple[tuple[str, type[PrefectUvError], str, str], ...] = (
    (
        r"lockfile .* needs to be updated",
        LockfileStaleError,
        "uv.lock does not fit pyproject.toml any more.",
        "Run `uv lock`, commit uv.lock, and push; or set PREFECT_UV_LOCK=frozen to install what uv.lock says.",
    ),
    (
        r"No interpreter found|incompatible with the project's Python requirement",
        PythonMissingError,
        "The image has no Python that the project accepts.",
        "Use the image of the family that has it (py312, py313, …), or change requires-python or .python-version.",
    ),
    (
        r"No space left on device|os error 28|Disk quota exceeded",
        VolumeFullError,
        "No space is left on the cache volume.",
        "Make the volume larger, or delete what it holds; every environment is rebuilt when it is needed.",
    ),
    (
        r"Failed to initialize cache|Permission denied \(os error 13\)",
        VolumeUnusableError,
        "uv's cache on the volume belongs to another user.",
        "Run all containers that share the volume with one uid or in group 0, or delete uv's cache on it.",
    ),
    (
        r"Hash mismatch",
        HashMismatchError,
        "A downloaded package is not the one in uv.lock.",
        "If it was rebuilt on purpose, run `uv lock --upgrade-package NAME`, commit and push; else ask who did it.",
    ),
    (
        r"404 Not Found|was not found in the package registry|No solution found",
        PackageNotFoundError,
        "A package of uv.lock is not on the index.",
        "It was deleted, or locked with another index: run `uv lock` against the index that this container uses.",
    ),
    (
        r"error sending request|[Cc]onnection|dns error|timed out|HTTP status|end of file|connectivity|40[13] ",
        IndexUnreachableError,
        "A package index did not give what uv asked for.",
        "Check the network, UV_DEFAULT_INDEX or UV_INDEX and their credentials, SSL_CERT_FILE and the proxy variables.",
    ),
    (
        r"Failed to parse|TOML parse error|unsupported schema version",
        ProjectInvalidError,
        "uv cannot read the project's files.",
        "Run `uv lock --check` in the project and mend what it reports.",
    ),
)


@dataclass(frozen=True)
class Uv:
    """uv for one project: its environment variables are ours where correctness hangs on them, the user's otherwise."""

    project: Locked
    image: Image
    environ: Mapping[str, str]
    cache: Path

    def python(self) -> str:
        """The interpreter for the project: the image's, unless .python-version asks for another one.

        Raises:
            PythonMissingError: when no interpreter in the image fits.
        """
        request = self.project.python_request
        if not request or (self.image.python_version + ".").startswith(request + "."):
            return self.image.python
        finished = self._uv("python", "find", "--no-project", request)
        if finished.exit_code:
            raise PythonMissingError(
                f"The image has no Python {request}, which .python-version asks for.",
                f"{finished.report}\n\nThe image's Python is {self.image.python_version}.",
                "Use the image of the family that has it (py312, py313, …), or change .python-version.",
            )
        return finished.stdout.strip()

    def lock(self) -> None:
        """Lock again, in the checkout."""
        self._checked("lock", *self.project.target)

    def export(self, python: str, *, locked: bool) -> str:
        """The requirements of the selection, with hashes; `locked` refuses a stale lock."""
        policy = "--locked" if locked else "--frozen"
        wanted = [*self.project.target, *self.project.selection.options, "--python", python]
        plain = ("--no-emit-local", "--no-header", "--no-annotate")
        environ = for_judging(self.project, self.environ) if locked else self.environ
        return self._checked("export", policy, *wanted, *plain, environ=environ).stdout

    def plan(self, python: str) -> dict[str, str]:
        """Names and versions of what a sync installs here, as uv itself resolves markers and settings."""
        nowhere = self.cache / "plan" / "nothing-here"
        finished = self._checked(*self._sync(python), "--dry-run", "--output-format", "json", place=nowhere)
        return {change["name"]: change["version"] for change in json.loads(finished.stdout)["sync"]["changes"]}

    def venv(self, python: str, place: Path) -> None:
        """An empty environment that can be moved."""
        self._checked("venv", "--no-project", "--relocatable", "--python", python, place)

    def sync(self, python: str, place: Path, link_mode: str) -> None:
        """Bring the environment at `place` to the lock, without the project's own code, and let uv compare it."""
        self._checked(*self._sync(python), "--link-mode", link_mode, place=place)
        self._checked(*self._sync(python), "--check", place=place)

    def clean(self, names: Iterable[str]) -> None:
        """Throw packages out of uv's cache: a file cut short there is installed as it is (uv 0.13.8)."""
        self._checked("cache", "clean", "--force", *names)

    def _sync(self, python: str) -> tuple[str | Path, ...]:
        wanted = (*self.project.target, *self.project.selection.options, "--python", python)
        return ("sync", "--frozen", "--no-install-local", *wanted)

    def _checked(
        self, *arguments: str | Path, place: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> Finished:
        finished = self._uv(*arguments, place=place, environ=environ)
        if finished.exit_code:
            raise explain(finished)
        return finished

    def _uv(
        self, *arguments: str | Path, place: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> Finished:
        own = {
            "UV_CACHE_DIR": str(self.cache),
            "UV_PYTHON_DOWNLOADS": "never",
            **({"UV_PROJECT_ENVIRONMENT": str(place)} if place else {}),
        }
        ignored = {"VIRTUAL_ENV", "UV_LINK_MODE", "UV_NO_CACHE", "UV_NO_SYNC"}
        kept = {name: value for name, value in (environ or self.environ).items() if name not in ignored}
        return run(["uv", *QUIET, *arguments], env={**kept, **own}, cwd=self.project.directory)


def explain(finished: Finished) -> PrefectUvError:
    """The error of the catalogue that a failure of uv stands for."""
    for pattern, error, headline, hint in _FAILURES:
        if re.search(pattern, finished.stderr):
            return error(headline, finished.report, hint)
    return SyncError("uv could not build the environment.", finished.report)
