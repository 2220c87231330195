"""Versions for requirements that nothing locks: what `uv pip compile` finds today, for one interpreter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prefect_uv.store.pylock import Pylock
from prefect_uv.store.requirements import Requirement, wanted
from prefect_uv.store.uv import Uv


@dataclass(frozen=True)
class Wanted:
    """Requirements to resolve.

    Attributes:
        directory: where relative paths start, and where uv looks for its settings.
        lines: lines of a requirements file.
        files: requirements files, or a script.
        constraints: versions that count where such a package is needed.
        excluded: packages that are there already, and are not looked up.
        hashed: the files name the hashes of everything.
    """

    directory: Path
    lines: Sequence[str] = ()
    files: Sequence[Path] = ()
    constraints: Sequence[str] = ()
    excluded: Iterable[str] = ()
    hashed: bool = False

    @property
    def requirements(self) -> list[Requirement]:
        """Every requirement in the lines and files."""
        return wanted(self.lines, self.files)


def resolve(uv: Uv, python: str, wishes: Wanted) -> Pylock:
    """The packages with their files; what is source code in the checkout is left to the import path.

    Raises:
        UnresolvableError: no versions fit together, or a package is nowhere.
        HashMismatchError: the index has other files than the requirements name.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-uv-resolve-") as private:
        options = [*uv.limits, *_file(private, "constraints", "-c", wishes.constraints)]
        options += _file(private, "excludes", "--excludes", list(wishes.excluded))
        inputs = [*_file(private, "requirements", "", wishes.lines), *map(str, wishes.files)]
        form = ("--format", "pylock.toml", "--no-header", "--no-annotate", "--preview-features", "pylock")
        told = uv.checked(
            "pip", "compile", *form, "--python", python, *uv.index, *options, *inputs, cwd=wishes.directory
        ).stdout
    found = Pylock.read(told, wishes.directory)
    return found.without(found.directories()).accepting(wishes.requirements, hashed=wishes.hashed)


def installer(uv: Uv, lock: Pylock) -> Callable[[Path, str], None]:
    """What puts resolved packages into an environment."""
    return partial(_install, uv, lock)


def is_pinned(lock: Pylock, requirements: Iterable[Requirement]) -> bool:
    """Whether the requirements leave nothing to choose: then no new release changes the answer."""
    return lock.entries.keys() <= {requirement.name for requirement in requirements if requirement.exact}


def _install(uv: Uv, lock: Pylock, place: Path, link_mode: str) -> None:
    with tempfile.TemporaryDirectory(prefix="prefect-uv-resolve-") as private:
        file = Path(private) / "pylock.toml"
        lock.write(file)
        uv.install(place, file, link_mode)


def _file(directory: str, name: str, option: str, lines: Sequence[str]) -> list[str]:
    """Lines as a file for uv, with its option; nothing for no lines."""
    if not lines:
        return []
    path = Path(directory) / f"{name}.in"
    path.write_text("\n".join(lines) + "\n")
    return [*filter(None, [option]), str(path)]
