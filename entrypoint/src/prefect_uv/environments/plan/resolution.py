"""Resolution of unlocked requirements: uv chooses versions from today's index, for one interpreter."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.environments.plan.limited_script import limited_script
from prefect_uv.environments.plan.pylock import Pylock
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.files.requirements_files import Requirements
from prefect_uv.project.lockfile.pylock_text import PYLOCK


def resolve_requirements(
    uv: Uv, python: str, requirements: Requirements, *, constraints: Sequence[str] = (), excluded: Sequence[str] = ()
) -> Pylock:
    """The packages that the requirements resolve to, with their files.

    Source code in the checkout is left out: it is imported from there.

    uv 0.13.8: https://docs.astral.sh/uv/reference/cli/#uv-pip-compile--format

    Args:
        uv: set up for the deployment.
        python: the interpreter to resolve for.
        requirements: what to resolve.
        constraints: versions to use if such a package is needed.
        excluded: packages to leave out with their dependencies, because they are installed already.

    Raises:
        UnresolvableError: no versions fit together, or a package does not exist.
        HashMismatchError: the index has no file with a hash that the requirements name.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-uv-resolve-") as private:
        options = [*uv.limit_options, *option_with_file(private, "constraints", "-c", constraints)]
        options += option_with_file(private, "excludes", "--excludes", excluded)
        inputs = [*option_with_file(private, "requirements", "", requirements.lines), *map(str, requirements.files)]
        form = ("--format", "pylock.toml", "--no-header", "--no-annotate", "--preview-features", "pylock")
        words = ("pip", "compile", *form, "--python", python, *uv.index_options, *options, *inputs)
        text = uv.run_checked(*words, cwd=requirements.directory).stdout
    lock = Pylock.read(text, requirements.directory).without_directories()
    return lock.accepting(requirements.requirements, hashed=requirements.hashed)


def resolve_script(uv: Uv, python: str, script: Script) -> Pylock:
    """The packages that a script's block resolves to, with their files, by its own settings and sources.

    Source code in the checkout is left out. `uv export` answers for all interpreters, so a dry run has to tell which of
    the packages are for this one.

    uv 0.13.8: `uv export` reads a script's sources and writes no lock; `uv pip compile` does not read them (covered by
    test_sources_of_a_script). https://docs.astral.sh/uv/guides/scripts/#locking-dependencies
    """
    form = ("--format", "pylock.toml", "--no-header", "--python", python)
    directory = script.path.parent
    with limited_script(script, uv.settings.environ) as file:
        words = ("export", "--script", str(file), *form, *uv.export_index_options)
        lock = Pylock.read(uv.run_checked(*words, cwd=directory).stdout, directory).without_directories()
    return lock.chosen(planned_versions(uv, python, lock))


def planned_versions(uv: Uv, python: str, lock: Pylock, options: Sequence[str] = ()) -> dict[str, str]:
    """What uv would install of a lock on an interpreter: versions by name.

    uv 0.13.8: the JSON of the dry run is experimental.
    https://docs.astral.sh/uv/reference/cli/#uv-pip-install--output-format

    Args:
        uv: set up for the deployment.
        python: the interpreter.
        lock: the packages.
        options: uv's options that select groups and extras.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-uv-resolve-") as private:
        directory = Path(private)
        file = directory / PYLOCK
        lock.write(file)
        dry_run = ("--dry-run", "--output-format", "json", "--python", python, "--target", str(directory / "empty"))
        words = ("pip", "install", *dry_run, "--preview-features", "pylock", *options, "-r", str(file))
        planned = json.loads(uv.run_checked(*words, cwd=directory).stdout)["changes"]
    return {change["name"]: change.get("version", "") for change in planned}


def installer(uv: Uv, lock: Pylock, options: Sequence[str] = ()) -> Callable[[Path, str], None]:
    """A function that installs locked packages into an environment; takes its directory and a link mode.

    Args:
        uv: set up for the deployment.
        lock: the packages.
        options: uv's options that select groups and extras.
    """
    return partial(_install_lock, uv, lock, options)


def _install_lock(uv: Uv, lock: Pylock, options: Sequence[str], environment: Path, link_mode: str) -> None:
    with tempfile.TemporaryDirectory(prefix="prefect-uv-resolve-") as private:
        file = Path(private) / PYLOCK
        lock.write(file)
        uv.install(environment, file, link_mode, options)


def option_with_file(directory: str, name: str, option: str, lines: Sequence[str]) -> list[str]:
    """An option for uv with a file of these lines, or only the file if the option is empty; empty without lines."""
    if not lines:
        return []
    path = Path(directory) / f"{name}.in"
    write_file(path, "\n".join(lines) + "\n")
    return [*filter(None, [option]), str(path)]
