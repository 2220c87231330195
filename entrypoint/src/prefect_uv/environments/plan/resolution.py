"""Versions for requirements that nothing locks: what `uv pip compile` finds today, for one interpreter."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from prefect_uv.environments.plan.pylock import Pylock
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.project.files.requirements_files import Requirements


def resolve_requirements(
    uv: Uv, python: str, found: Requirements, *, constraints: Sequence[str] = (), excluded: Sequence[str] = ()
) -> Pylock:
    """The packages with their files; what is source code in the checkout is left to the import path.

    Args:
        uv: as it is set up for the deployment.
        python: the interpreter that they are for.
        found: the requirements.
        constraints: versions that count where such a package is needed.
        excluded: packages that are there already, and are not looked up.

    Raises:
        UnresolvableError: no versions fit together, or a package is nowhere.
        HashMismatchError: the index has other files than the requirements name.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-uv-resolve-") as private:
        options = [*uv.limits, *lines_for(private, "constraints", "-c", constraints)]
        options += lines_for(private, "excludes", "--excludes", excluded)
        inputs = [*lines_for(private, "requirements", "", found.lines), *map(str, found.files)]
        form = ("--format", "pylock.toml", "--no-header", "--no-annotate", "--preview-features", "pylock")
        told = uv.checked(
            "pip", "compile", *form, "--python", python, *uv.index, *options, *inputs, cwd=found.directory
        ).stdout
    lock = Pylock.read(told, found.directory).without_directories()
    return lock.accepting(found.requirements, hashed=found.hashed)


def resolve_script(uv: Uv, python: str, script: Path) -> Pylock:
    """The packages of a script with their files, by its own settings and sources; source code here is left out.

    `uv pip compile` reads no [tool.uv.sources] of a script; `uv export` does, and writes no lock (uv 0.13.8). What it
    tells is for any interpreter, so that uv is asked which of it is for this one.
    """
    form = ("--format", "pylock.toml", "--no-header", "--python", python)
    told = uv.checked("export", "--script", str(script), *form, *uv.only_wheels, cwd=script.parent).stdout
    lock = Pylock.read(told, script.parent).without_directories()
    with tempfile.TemporaryDirectory(prefix="prefect-uv-resolve-") as private:
        place = Path(private)
        file = place / "pylock.toml"
        lock.write(file)
        plan = ("--dry-run", "--output-format", "json", "--python", python, "--target", place / "empty")
        told = uv.checked("pip", "install", *plan, "--preview-features", "pylock", "-r", str(file), cwd=place).stdout
    return lock.chosen({change["name"]: change.get("version", "") for change in json.loads(told)["changes"]})


def installer(uv: Uv, lock: Pylock) -> Callable[[Path, str], None]:
    """What puts resolved packages into an environment."""
    return partial(_install_lock, uv, lock)


def _install_lock(uv: Uv, lock: Pylock, place: Path, link_mode: str) -> None:
    with tempfile.TemporaryDirectory(prefix="prefect-uv-resolve-") as private:
        file = Path(private) / "pylock.toml"
        lock.write(file)
        uv.install(place, file, link_mode)


def lines_for(directory: str, name: str, option: str, lines: Sequence[str]) -> list[str]:
    """Lines as a file for uv, with its option; nothing for no lines."""
    if not lines:
        return []
    path = Path(directory) / f"{name}.in"
    path.write_text("\n".join(lines) + "\n")
    return [*filter(None, [option]), str(path)]
