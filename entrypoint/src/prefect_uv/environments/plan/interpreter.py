"""The interpreter for a project: the image's where it fits, another one of the container, or one on the volume.

Those on the volume are uv's own builds. A directory of one counts only when it has our mark: uv writes into it after
it has its name (uv 0.13.8), so that a killed installation is done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.work_lock import holding_work_lock
from prefect_uv.environments.key.fingerprint import digest_fields
from prefect_uv.environments.key.manifest import described_environments
from prefect_uv.environments.plan.python_versions import accepts, image_for, minor
from prefect_uv.environments.uv.uv_command import PREFERENCES, Uv
from prefect_uv.environments.uv.uv_failures import explain_uv_failure
from prefect_uv.errors import PythonMissingError, VolumeFullError
from prefect_uv.image_facts import interpreter_facts
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project

WHOLE = ".whole"
FORBIDDING = {"never", "manual"}


def choose_interpreter(uv: Uv, project: Project, log: RunLog) -> str:
    """The path of the interpreter for a project.

    Raises:
        PythonMissingError: none is here and none may be downloaded, or two requests contradict each other.
    """
    request = InterpreterRequest(uv, project)
    chosen = uv.image.python if request.image_fits else request.find() or request.install(log)
    version = uv.image.python_version if chosen == uv.image.python else interpreter_facts(chosen)[0]
    if project.python_request and accepts(project.requires_python or version, version) is False:
        raise PythonMissingError(
            f"{project.python_origin or 'The deployment'} asks for Python {project.python_request}, but"
            f" {project.name} requires {project.requires_python}.",
            f"{chosen} is Python {version}.",
            f"Change {project.python_origin or 'one of the two'} or requires-python; then run `uv lock`, commit and"
            " push.",
        )
    return chosen


def discard_unused_interpreters(cache: CacheDirectory, before: float) -> None:
    """Discard the interpreters that no environment runs on, but for new ones: theirs may be under way."""
    used = [Path(manifest.contents.python) for _, manifest in described_environments(cache)]
    for path in [*cache.pythons.glob("[!.]*"), *cache.pythons.glob(".temp/*")]:
        if path.is_symlink() and not path.exists():
            path.unlink()
        elif path.is_symlink() or path.stat().st_mtime >= before:
            continue
        elif not any(python.is_relative_to(path) for python in used):
            cache.discard(path)


@dataclass(frozen=True)
class InterpreterRequest:
    """A project's request for an interpreter, and where one may be."""

    uv: Uv
    project: Project

    @property
    def request(self) -> str:
        """The request that counts."""
        return self.project.python_request or self.project.requires_python

    @property
    def origin(self) -> str:
        """Who makes it."""
        return self.project.python_origin if self.project.python_request else f"requires-python of {self.project.name}"

    @property
    def image_fits(self) -> bool:
        """Whether it is the image's own."""
        return not self.request or bool(accepts(self.request, self.uv.image.python_version))

    def find(self) -> str | None:
        """One that is here, in the container or on the volume, without its links that may be moved."""
        finished = self.uv.run("python", "find", "--no-project", "--resolve-links", self.request, environ=self._place)
        found = finished.stdout.strip()
        return found if finished.exit_code == 0 and self._is_whole(Path(found)) else None

    def install(self, log: RunLog) -> str:
        """One of uv's builds, onto the volume, by one container at a time."""
        if reason := self._obstacle():
            raise self._missing(f"Nothing was downloaded: {reason}.")
        path = self.uv.cache.locks / f"python-{digest_fields([self.request])[:12]}"
        with holding_work_lock(path, lambda: False, lambda message: log.info(f"Python {self.request}: {message}")):
            if found := self.find():
                return found
            log.info(f"Python {self.request} is not in the image: downloading it to {self.uv.cache.pythons}")
            options = ("--no-bin", "--reinstall", self.request)
            allowed = {**self._place, "UV_PYTHON_DOWNLOADS": "automatic"}
            finished = self.uv.run("python", "install", *options, environ=allowed)
            if finished.exit_code:
                error = explain_uv_failure(finished)
                raise error if isinstance(error, VolumeFullError) else self._missing(finished.report)
            return self._marked()

    def _marked(self) -> str:
        """The installation that has just ended well."""
        words = ("python", "find", "--no-project", "--resolve-links", self.request)
        finished = self.uv.checked(*words, environ={**self._place, "UV_PYTHON_PREFERENCE": "only-managed"})
        found = finished.stdout.strip()
        (Path(found).parent.parent / WHOLE).touch()
        return found

    @property
    def _place(self) -> Mapping[str, str]:
        """Where uv's builds are; which kind is preferred counts here, and not where an interpreter is named."""
        given = self.uv.settings.environ
        preferences = {name: given[name] for name in PREFERENCES if name in given}
        return {**preferences, "UV_PYTHON_INSTALL_DIR": str(self.uv.cache.pythons)}

    def _is_whole(self, python: Path) -> bool:
        """Not on the volume; or there, when an installation of somebody whom we trust has come to its end."""
        if not python.is_relative_to(self.uv.cache.pythons):
            return True
        mark = python.parent.parent / WHOLE
        return mark.exists() and mark.stat().st_uid in self.uv.trusted

    def _obstacle(self) -> str:
        if self.uv.settings.offline:
            return "PREFECT_UV_OFFLINE does not allow it"
        allowed = self.uv.settings.environ.get("UV_PYTHON_DOWNLOADS", "automatic")
        return f"UV_PYTHON_DOWNLOADS={allowed} does not allow it" if allowed in FORBIDDING else ""

    def _missing(self, found: str) -> PythonMissingError:
        image = self.uv.image
        ways = (
            image_for(self.request, image.python_version),
            "let uv download it, from a mirror if necessary (UV_PYTHON_DOWNLOADS, UV_PYTHON_INSTALL_MIRROR)",
            f"ask for {minor(image.python_version)}, which the image has.",
        )
        hint = "; or ".join(filter(None, ways))
        return PythonMissingError(
            f"{self.origin} asks for Python {self.request}, which is not available here.",
            f"The image {image.name} has Python {image.python_version}. {found}",
            hint[0].upper() + hint[1:],
        )
