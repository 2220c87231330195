"""How the engines of a deployment are started, noted on the cache volume for its next run (ADR 37).

<cache>/index/v1/deployment-<id>: an EngineStart as JSON, if a trusted user wrote it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_uv.cache_volume.cache_directory import IMPORT_BUNDLE, KEY_NAME, RUN_CACHE, CacheDirectory
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.engine.start_up.import_influences import import_influence, top_level_modules, variable_below
from prefect_uv.settings import Settings
from prefect_uv.settings.tool_variables import IMPORT_PATH, VERSION_CHECK

if TYPE_CHECKING:
    from prefect_uv.engine.launch import Launch

PLACE = "/nonexistent/import-path-of-the-run"
"""Stands in `sys.path` where the directories of the run will be."""
ENVIRONMENT_VARIABLES = (
    VERSION_CHECK,
    "PYTHONDONTWRITEBYTECODE",
    "UV_CACHE_DIR",
    "UV_NO_CACHE",
    "UV_NO_PROJECT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "VIRTUAL_ENV",
)
"""What a launch sets for its environment and its server, whatever the run."""
RUN_VARIABLES = {"PATH", "PREFECT__FLOW_ENTRYPOINT", IMPORT_PATH}
"""What a launch sets for the run, and importing Prefect does not read."""
RUN_MODULE = Path(__file__).parent.with_name("_run_module.py")


def launcher_command(environment: str, run_cache: str) -> list[str]:
    """The environment's Python, started by `uv run` with a cache directory of its own; directly without one.

    `uv run` keeps its cache locked as long as it lives (uv 0.13.8: https://github.com/astral-sh/uv/issues/19317); with
    the shared cache, that would block `uv cache prune` (ADR 7). `--python` is given because uv honours a
    `.python-version` without a project, too: https://docs.astral.sh/uv/concepts/python-versions/#python-version-files
    """
    python = f"{environment}/bin/python"
    if not run_cache:
        return [python]
    return ["uv", "--quiet", "--cache-dir", run_cache, "run", "--no-project", "--python", python, "python"]


def engine_script(environment: str, *, import_bundle: bool) -> list[str]:
    """What the environment's Python runs, up to the arguments that name an engine's module or file."""
    return [str(RUN_MODULE), *([f"--imports={environment}/{IMPORT_BUNDLE}"] if import_bundle else [])]


@dataclass(frozen=True)
class EngineStart:
    """How an engine is started, apart from what belongs to a run.

    Attributes:
        environment: the environment's directory.
        command: the program and its arguments, without those that name what to run.
        variables: those that are set for the environment.
        modules: the names at the top of site-packages.
    """

    environment: str
    command: list[str]
    variables: dict[str, str]
    modules: list[str]

    @classmethod
    def of(cls, launch: Launch) -> EngineStart:
        """How an engine was launched."""
        from prefect_uv.environments.build.verification import site_packages  # noqa: PLC0415 (only the first run notes)

        environment = Path(launch.python).parent.parent
        command = launch.command[: len(launch.command) - len(launch.arguments)]
        variables = {name: launch.environ[name] for name in ENVIRONMENT_VARIABLES if name in launch.environ}
        modules = top_level_modules(site_packages(environment))
        return cls(str(environment), [*command], variables, [*modules])

    def is_ours(self) -> bool:
        """Whether it starts the environment's Python with our module, and sets nothing but what a launch sets."""
        launchers = (launcher_command(self.environment, cache) for cache in ("", f"{self.environment}/{RUN_CACHE}"))
        scripts = (engine_script(self.environment, import_bundle=used) for used in (False, True))
        commands = [[*launcher, *script] for launcher, script in product(launchers, scripts)]
        return self.command in commands and self.variables.keys() <= {*ENVIRONMENT_VARIABLES}

    def environ(self, settings: Settings) -> dict[str, str]:
        """The variables of an engine that has no run yet."""
        path = f"{self.environment}/bin{os.pathsep}{settings.flow_environ.get('PATH', os.defpath)}"
        return {**settings.flow_environ, **self.variables, "PATH": path, IMPORT_PATH: PLACE}

    def misfit(self, launch: Launch, settings: Settings) -> str:
        """Why an engine that was started in this way is not the one to launch; empty if it is."""
        if [*launch.command] != [*self.command, *launch.arguments] or launch.wrapped:
            return "the command is another one"
        early = self.environ(settings)
        names = (early.keys() | launch.environ.keys()) - RUN_VARIABLES
        if different := sorted(name for name in names if early.get(name) != launch.environ.get(name)):
            return f"{', '.join(different)} differ"
        if name := variable_below(launch.directory, early):
            return f"{name} names what is pulled"
        if IMPORT_PATH not in launch.environ:
            return "the environment has no import hook"
        import_path = filter(None, launch.environ[IMPORT_PATH].split(os.pathsep))
        return import_influence(launch.directory, [*map(Path, import_path)], self.modules)


def noted_start(settings: Settings, cache: CacheDirectory) -> EngineStart | None:
    """How the engine of the deployment's last run was started; None if that is not known, or not to be trusted."""
    path = _path(settings, cache)
    if path is None or not cache.trusts(path):
        return None
    try:
        start = EngineStart(**json.loads(path.read_bytes()))
        places = (cache.environments, settings.baked_dir / cache.environments.relative_to(cache.root))
        environment = Path(start.environment)
        usable = environment.parent in places and (environment.parent == places[1] or cache.trusts(environment))
        usable = usable and start.is_ours() and KEY_NAME.fullmatch(environment.name) is not None
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return start if usable else None


def note_start(launch: Launch, settings: Settings, cache: CacheDirectory) -> None:
    """Note how an engine is launched for the next run of its deployment; or that this one's way is of no use to it."""
    path = _path(settings, cache)
    if path is None or cache.read_only or not cache.root.is_dir():
        return
    with suppress(OSError), shared_umask():
        if import_influence(launch.directory, (), ()):  # there is no need to look at the environment
            path.unlink(missing_ok=True)
            return
        start = EngineStart.of(launch)
        for directory in (cache.index, cache.builds):
            cache.make_directory(directory)
        if start.misfit(launch, settings):
            path.unlink(missing_ok=True)
        else:
            cache.write(path, json.dumps(asdict(start)))


def _path(settings: Settings, cache: CacheDirectory) -> Path | None:
    """Where a deployment's start is noted; None without a deployment."""
    return cache.index / f"deployment-{settings.deployment_id}" if settings.deployment_id else None
