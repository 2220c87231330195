"""The interpreter for a project: the image's where it fits, another one of the container, or one on the volume.

Those on the volume are uv's own builds. A directory of one counts only when it has our mark: uv writes into it after
it has its name (uv 0.13.8), so that a killed installation is done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import PythonMissingError, VolumeFullError
from prefect_uv.image import facts
from prefect_uv.project import Project
from prefect_uv.runlog import RunLog
from prefect_uv.store.identity import digest
from prefect_uv.store.manifest import manifests
from prefect_uv.store.uv import PREFERENCES, Uv
from prefect_uv.store.uv_failures import explain
from prefect_uv.store.versions import accepts, image_for, minor
from prefect_uv.volume.layout import Area
from prefect_uv.volume.lock import claimed

WHOLE = ".whole"
FORBIDDING = {"never", "manual"}


def interpreter(uv: Uv, project: Project, log: RunLog) -> str:
    """The path of the interpreter for a project.

    Raises:
        PythonMissingError: none is here and none may be downloaded, or two requests contradict each other.
    """
    wish = Wish(uv, project)
    chosen = uv.image.python if wish.image_fits else wish.find() or wish.install(log)
    version = uv.image.python_version if chosen == uv.image.python else facts(chosen)[0]
    if project.python_request and accepts(project.requires_python or version, version) is False:
        raise PythonMissingError(
            f"{project.python_origin or 'The deployment'} asks for Python {project.python_request}, and {project.name}"
            f" requires {project.requires_python}.",
            f"{chosen} is Python {version}.",
            f"Change {project.python_origin or 'one of the two'}, or requires-python; then run `uv lock` and push.",
        )
    return chosen


def sweep_pythons(area: Area, before: float) -> None:
    """Discard the interpreters that no environment runs on, but for new ones: theirs may be under way."""
    used = [Path(manifest.contents.python) for _, manifest in manifests(area)]
    for path in [*area.pythons.glob("[!.]*"), *area.pythons.glob(".temp/*")]:
        if path.is_symlink() and not path.exists():
            path.unlink()
        elif path.is_symlink() or path.stat().st_mtime >= before:
            continue
        elif not any(python.is_relative_to(path) for python in used):
            area.discard(path)


@dataclass(frozen=True)
class Wish:
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
        path = self.uv.area.locks / f"python-{digest([self.request])[:12]}"
        with claimed(path, lambda: False, lambda message: log.info(f"Python {self.request}: {message}")):
            if found := self.find():
                return found
            log.info(f"Python {self.request} is not in the image: downloading it to {self.uv.area.pythons}")
            options = ("--no-bin", "--reinstall", self.request)
            allowed = {**self._place, "UV_PYTHON_DOWNLOADS": "automatic"}
            finished = self.uv.run("python", "install", *options, environ=allowed)
            if finished.exit_code:
                error = explain(finished)
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
        wishes = {name: given[name] for name in PREFERENCES if name in given}
        return {**wishes, "UV_PYTHON_INSTALL_DIR": str(self.uv.area.pythons)}

    def _is_whole(self, python: Path) -> bool:
        """Not on the volume; or there, when an installation of somebody whom we trust has come to its end."""
        if not python.is_relative_to(self.uv.area.pythons):
            return True
        mark = python.parent.parent / WHOLE
        return mark.exists() and mark.stat().st_uid in self.uv.trusted

    def _obstacle(self) -> str:
        if self.uv.settings.offline:
            return "PREFECT_UV_OFFLINE forbids it"
        allowed = self.uv.settings.environ.get("UV_PYTHON_DOWNLOADS", "automatic")
        return f"UV_PYTHON_DOWNLOADS={allowed} forbids it" if allowed in FORBIDDING else ""

    def _missing(self, found: str) -> PythonMissingError:
        image = self.uv.image
        ways = (
            image_for(self.request, image.python_version),
            "let uv download it, from a mirror if need be (UV_PYTHON_DOWNLOADS, UV_PYTHON_INSTALL_MIRROR)",
            f"ask for {minor(image.python_version)}, which is here.",
        )
        hint = "; or ".join(filter(None, ways))
        return PythonMissingError(
            f"There is no Python {self.request} here, which {self.origin} asks for.",
            f"The image {image.name} has Python {image.python_version}. {found}",
            hint[0].upper() + hint[1:],
        )
