"""Choosing an interpreter: the image's if it fits, another one in the container, or one of uv's builds on the volume.

A build on the volume counts only if it has our mark, so that an installation that was killed is repeated.

uv 0.13.8: gives an installation its final name before it has patched it.
https://github.com/astral-sh/uv/blob/0.13.8/crates/uv/src/commands/python/install.rs
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.work_lock import holding_work_lock
from prefect_uv.environments.key.fingerprint import digest_fields
from prefect_uv.environments.key.manifest import described_environments
from prefect_uv.environments.plan.python_versions import accepts, contradict, image_for, minor
from prefect_uv.environments.uv.uv_command import PREFERENCE_VARIABLES, Uv
from prefect_uv.errors import PythonMissingError, VolumeFullError
from prefect_uv.image_facts import interpreter_facts
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project
from prefect_uv.settings.tool_variables import variables_for_builds

DOWNLOAD_REMEDY = "let uv download it, from a mirror if necessary (UV_PYTHON_DOWNLOADS, UV_PYTHON_INSTALL_MIRROR)"
COMPLETE_MARK = ".whole"
# uv 0.13.8: values that disable downloads. https://docs.astral.sh/uv/reference/settings/#python-downloads
NO_DOWNLOADS = {"never", "manual"}
# uv 0.13.8: names of installations. https://docs.astral.sh/uv/concepts/python-versions/#requesting-a-version
PYTHON_NAME = re.compile(r"(?:cpython|pypy|graalpy|pyodide)-.+")
ANY_NAME = re.compile(r".+")


def choose_interpreter(uv: Uv, project: Project, log: RunLog) -> str:
    """The path of the interpreter for a project; installs one if necessary.

    Raises:
        PythonMissingError: there is none and none may be downloaded, or the request contradicts requires-python.
    """
    request = InterpreterRequest(uv, project)
    chosen = uv.image.python if request.image_fits else request.find() or request.install(log)
    own = chosen == uv.image.python
    version = uv.image.python_version if own else interpreter_facts(chosen, variables_for_builds(uv.environ))[0]
    if project.python_request and accepts(project.requires_python or version, version) is False:
        raise _contradiction_error(project, f"{chosen} is Python {version}.")
    return chosen


def _contradiction_error(project: Project, found: str) -> PythonMissingError:
    origin = project.python_origin or "The deployment"
    return PythonMissingError(
        f"{origin} asks for Python {project.python_request}, but {project.name} requires {project.requires_python}.",
        found,
        f"Change {project.python_origin or 'one of the two'} or requires-python; then run `uv lock`, commit and push.",
    )


def discard_unused_interpreters(cache: CacheDirectory, before: float) -> None:
    """Discard interpreters that no environment uses, and unfinished downloads; those newer than `before` stay.

    uv 0.13.8: unpacks into .temp, and links the minor version to the newest patch.
    https://docs.astral.sh/uv/concepts/python-versions/#minor-version-directories
    """
    used = [Path(manifest.contents.python) for _, manifest in described_environments(cache)]
    installed, unfinished = cache.entries(cache.pythons, PYTHON_NAME), cache.entries(cache.pythons / ".temp", ANY_NAME)
    for path in [*installed, *unfinished]:
        if path.is_symlink() and not path.exists():
            cache.delete(path)
        elif path.is_symlink() or path.lstat().st_mtime >= before:
            continue
        elif not any(python.is_relative_to(path) for python in used):
            cache.discard(path)


@dataclass(frozen=True)
class InterpreterRequest:
    """A project's request for an interpreter, and the uv that looks for one."""

    uv: Uv
    project: Project

    @property
    def request(self) -> str:
        """What is asked for: the explicit request if there is one, else requires-python; may be empty."""
        return self.project.python_request or self.project.requires_python

    @property
    def origin(self) -> str:
        """The variable or file that asks for it."""
        return self.project.python_origin if self.project.python_request else f"requires-python of {self.project.name}"

    @property
    def image_fits(self) -> bool:
        """Whether the image's own interpreter fits."""
        return not self.request or bool(accepts(self.request, self.uv.image.python_version))

    def find(self) -> str | None:
        """The path of an interpreter in the container or on the volume; None if none fits.

        Links are resolved, because they may move to another patch version.
        """
        finished = self.uv.run("python", "find", "--no-project", "--resolve-links", self.request, environ=self._environ)
        python = finished.stdout.strip()
        return python if finished.exit_code == 0 and self._is_usable(Path(python)) else None

    def install(self, log: RunLog) -> str:
        """Install one of uv's builds on the volume, one container at a time; returns its path.

        Raises:
            PythonMissingError: downloads are not allowed, or failed.
        """
        if reason := self._reason_not_to_download():
            raise self._missing_error(f"Nothing was downloaded: {reason}.")
        path = self.uv.cache.locks / f"python-{digest_fields([self.request])[:12]}"
        with holding_work_lock(path, lambda: False, lambda message: log.info(f"Python {self.request}: {message}")):
            if python := self.find():
                return python
            log.info(f"Python {self.request} is not in the image: downloading it to {self.uv.cache.pythons}")
            options = ("--no-bin", "--reinstall", self.request)
            environ = {**self._environ, "UV_PYTHON_DOWNLOADS": "automatic"}
            finished = self.uv.run("python", "install", *options, environ=environ)
            if finished.exit_code:
                error = self.uv.explain(finished)
                raise error if isinstance(error, VolumeFullError) else self._missing_error(finished.report)
            return self._mark_complete()

    def _mark_complete(self) -> str:
        """Mark the installation that has just succeeded; returns its path."""
        words = ("python", "find", "--no-project", "--resolve-links", self.request)
        finished = self.uv.run_checked(*words, environ={**self._environ, "UV_PYTHON_PREFERENCE": "only-managed"})
        python = finished.stdout.strip()
        (Path(python).parent.parent / COMPLETE_MARK).touch()
        return python

    @property
    def _environ(self) -> Mapping[str, str]:
        """Variables for a search: the volume's builds, and the user's preferences, which count in no other command."""
        given = self.uv.settings.environ
        preferences = {name: given[name] for name in PREFERENCE_VARIABLES if name in given}
        return {**preferences, "UV_PYTHON_INSTALL_DIR": str(self.uv.cache.pythons)}

    def _is_usable(self, python: Path) -> bool:
        """Whether an interpreter is not on the volume, or a trusted user has installed it there completely."""
        if not python.is_relative_to(self.uv.cache.pythons):
            return True
        mark = python.parent.parent / COMPLETE_MARK
        return self.uv.cache.trusts(mark)

    def _reason_not_to_download(self) -> str:
        if self.uv.settings.offline:
            return "PREFECT_UV_OFFLINE does not allow it"
        downloads = self.uv.settings.environ.get("UV_PYTHON_DOWNLOADS", "automatic")
        return f"UV_PYTHON_DOWNLOADS={downloads} does not allow it" if downloads in NO_DOWNLOADS else ""

    def _missing_error(self, found: str) -> PythonMissingError:
        """The error with all remedies that would not be refused in turn."""
        image, requires_python = self.uv.image, self.project.requires_python
        found = f"The image {image.name} has Python {image.python_version}. {found}"
        if contradict(self.request, requires_python):
            return _contradiction_error(self.project, found)
        offline = self.uv.settings.offline
        remedies = (
            image_for(self.request, image.python_version, requires_python),
            "" if offline else DOWNLOAD_REMEDY,
            self._image_remedy(minor(image.python_version)),
        )
        hint = "; or ".join(filter(None, remedies)) or f"change {self.origin}"
        return PythonMissingError(
            f"{self.origin} asks for Python {self.request}, which is not available here.",
            found,
            f"{hint[0].upper()}{hint[1:]}.",
        )

    def _image_remedy(self, version: str) -> str:
        """How to be content with the image's own Python; empty if the project does not allow it."""
        if not self.project.python_request:
            return f"let requires-python allow {version}, which the image has, and lock again"
        allowed = accepts(self.project.requires_python or version, self.uv.image.python_version) is not False
        return f"ask for {version}, which the image has" if allowed else ""
