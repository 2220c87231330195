"""The uv command: we set the variables on which correctness depends, and leave all others to the user.

uv 0.13.8: its variables. https://docs.astral.sh/uv/reference/environment/
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.uv.uv_progress import run_with_progress
from prefect_uv.errors import PackageBuildError, PrefectUvError, UnresolvableError
from prefect_uv.git_access.clone import Clone
from prefect_uv.git_access.git_environment import git_variables
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.subprocesses import CompletedCommand
from prefect_uv.settings import Settings
from prefect_uv.settings.pip_variables import named_as_given
from prefect_uv.settings.tool_variables import variables_for_builds

UV = ("uv", "--no-progress", "--color", "never")
PREFERENCE_VARIABLES = {"UV_PYTHON_PREFERENCE", "UV_MANAGED_PYTHON", "UV_NO_MANAGED_PYTHON"}
LIMIT_OPTIONS = {"UV_CONSTRAINT": "--constraints", "UV_OVERRIDE": "--overrides", "UV_EXCLUDE": "--excludes"}
DIRECTORY_VARIABLES = {"UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY"}
CONTROLLED_VARIABLES = DIRECTORY_VARIABLES | {
    "UV_FROZEN",
    "UV_LINK_MODE",
    "UV_LOCKED",
    "UV_NO_CACHE",
    "UV_NO_PROJECT",
    "UV_NO_SYNC",
    "UV_ONLY_INSTALL_LOCAL",
    "UV_ONLY_INSTALL_PROJECT",
    "UV_ONLY_INSTALL_WORKSPACE",
    "UV_PROJECT_ENVIRONMENT",
    "UV_SYSTEM_PYTHON",
    "UV_VENV_SEED",
    "VIRTUAL_ENV",
}
IGNORED_VARIABLES = CONTROLLED_VARIABLES | PREFERENCE_VARIABLES | LIMIT_OPTIONS.keys()
BACKEND_START = Path(__file__).parent / "backend_start"
WITHHELD_NAMES = "_PREFECT_UV_WITHHELD"  # backend_start/sitecustomize.py reads it
NOWHERE = "/proc/nowhere"  # a path that does not exist and that not even root can create


@dataclass(frozen=True)
class Uv:
    """uv with the cache and the interpreters of one cache directory.

    Attributes:
        settings: the deployment's settings, with the user's variables.
        image: the image's facts.
        cache: the cache directory.
        log: gets each command as a detail, and how far it is if it takes long.
        configuration: the project's file that `uv pip` reads its settings from; other commands find it themselves.
        clone: the clone whose login serves dependencies on its host; None for none.
    """

    settings: Settings
    image: Image
    cache: CacheDirectory
    log: RunLog
    configuration: Path | None = None
    clone: Clone | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The variables of every call. uv downloads no interpreter in passing, and finds none by a movable link.

        uv 0.13.8: wraps its reports, which prefect-uv reads, at the width that COLUMNS gives.
        https://docs.astral.sh/uv/reference/environment/#uv_no_wrap
        """
        kept = {name: value for name, value in self.settings.environ.items() if name not in IGNORED_VARIABLES}
        own = {
            "UV_CACHE_DIR": str(self.cache.uv_cache),
            "UV_NO_WRAP": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_PYTHON_INSTALL_DIR": NOWHERE,
        }
        login = (self.clone.url, self.clone.login) if self.clone else ()
        git = git_variables(self.settings, kept, *login)
        offline = {"UV_OFFLINE": "1"} if self.settings.offline else {}
        return {**kept, **git, **own, **offline, **self._for_backends({**kept, **git})}

    def _for_install(self, words: Sequence[str]) -> dict[str, str]:
        """The variable with which a policy keeps uv from building packages, where it installs what it has planned."""
        settings = self.settings
        refused = settings.policy == "refuse" and settings.policy_wheels and not settings.policy_exempt
        installs = words[0] == "sync" or words[:2] == ["pip", "install"]
        return {"UV_NO_BUILD": "1"} if refused and installs and "--dry-run" not in words else {}

    def _for_backends(self, kept: Mapping[str, str]) -> dict[str, str]:
        """Variables with which the Python of a build backend starts again without what is withheld from it."""
        python_path = filter(None, (str(BACKEND_START), kept.get("PYTHONPATH")))
        return {WITHHELD_NAMES: "=".join(self._withheld(kept)), "PYTHONPATH": os.pathsep.join(python_path)}

    def _withheld(self, kept: Mapping[str, str]) -> list[str]:
        listed = variables_for_builds(kept, self.settings.tool_variables)
        return [name for name in kept if name not in listed]

    @property
    def withheld_hint(self) -> str:
        """A sentence that names what build backends did not get; empty if they got everything."""
        withheld = ", ".join(sorted(self._withheld(self.settings.environ)))
        return f" Builds do not get {withheld}: name what they need in PREFECT_UV_TOOL_VARIABLES." if withheld else ""

    @property
    def index_options(self) -> tuple[str, ...]:
        """The `uv pip` options that replace the indexes by the wheel directory; none if there is no such directory."""
        wheels = self.settings.wheels
        return ("--no-index", "--find-links", str(wheels), "--only-binary", ":all:") if wheels else ()

    @property
    def export_index_options(self) -> tuple[str, ...]:
        """`index_options` for `uv export`, which names one of them differently."""
        wheels = self.settings.wheels
        return ("--no-index", "--find-links", str(wheels), "--no-build") if wheels else ()

    @property
    def limit_options(self) -> list[str]:
        """Options for the user's constraints, overrides and excludes, where versions are chosen.

        uv 0.13.8: refuses constraints with a pylock.toml, from UV_CONSTRAINT too, so the variables are never passed on.
        https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-requirements/src/specification.rs
        """
        named = ((option, self.settings.environ.get(name, "").split()) for name, option in LIMIT_OPTIONS.items())
        return [word for option, files in named for file in files for word in (option, file)]

    def create_venv(self, python: str, environment: Path) -> None:
        """Create an empty environment that can be renamed.

        uv 0.13.8: guarantees that only for console and GUI scripts.
        https://docs.astral.sh/uv/reference/cli/#uv-venv--relocatable
        """
        self.run_checked("venv", "--no-project", "--relocatable", "--python", python, environment)

    def clean_cache(self, names: Iterable[str]) -> None:
        """Remove packages from uv's cache, without waiting for other processes that use it.

        uv 0.13.8: https://docs.astral.sh/uv/concepts/cache/#clearing-the-cache
        """
        self.run_checked("cache", "clean", "--force", *names)

    def install(self, environment: Path, file: Path, link_mode: str, options: Sequence[str] = ()) -> None:
        """Install exactly what a requirements file or pylock.toml pins into an environment; options select groups.

        uv 0.13.8: pylock is in preview; the flag silences the warning.
        https://docs.astral.sh/uv/concepts/preview/#using-preview-features
        """
        target = ("--python", environment / "bin" / "python", "--link-mode", link_mode)
        pinned = ("--no-deps", "--preview-features", "pylock", *self.index_options, *options, "-r", str(file))
        self.run_checked("pip", "install", *target, *pinned, cwd=environment)

    def run_checked(
        self, *arguments: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> CompletedCommand:
        """Run a command that must succeed.

        Raises:
            PrefectUvError: the error of the catalogue that explains its failure.
        """
        finished = self.run(*arguments, cwd=cwd, environ=environ)
        if finished.exit_code:
            raise self.explain(finished)
        return finished

    def explain(self, finished: CompletedCommand) -> PrefectUvError:
        """The error for a failure; with a wheel directory, an unresolvable requirement is a missing wheel."""
        from prefect_uv.environments.uv.named_failures import offline_missing  # noqa: PLC0415 (few commands fail)
        from prefect_uv.environments.uv.uv_failures import explain_uv_failure  # noqa: PLC0415 (few commands fail)

        error = explain_uv_failure(finished, self.settings.cache_dir)
        if self.settings.wheels and isinstance(error, UnresolvableError):
            return offline_missing(finished)
        error.hint = named_as_given(error.hint, self.settings.environ)
        if isinstance(error, PackageBuildError):
            error.hint += self.withheld_hint
        return error

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> CompletedCommand:
        """Run a command to its end, failed or not.

        Args:
            arguments: without `uv` itself.
            cwd: its working directory; ours by default.
            environ: variables in addition to those of every call.
        """
        words = [str(argument) for argument in arguments]
        variables = {**self.environ, **self._for_install(words), **(environ or {})}
        if words[0] != "pip":
            return run_with_progress(self.log, [*UV, *words], words, variables, cwd)
        from prefect_uv.environments.uv.pip_table import pip_settings  # noqa: PLC0415 (no warm start asks uv)

        with pip_settings(self.configuration, variables, cwd or Path()) as (options, replaced):
            return run_with_progress(self.log, [*UV, *options, *words], words, {**variables, **replaced}, cwd)


def remove_uv_lock(directory: Path) -> None:
    """Remove the file that everybody may write from a directory into which uv has installed for the last time.

    uv 0.13.8: creates it to lock the directory. https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-fs/src/locked_file.rs
    """
    (directory / ".lock").unlink(missing_ok=True)
