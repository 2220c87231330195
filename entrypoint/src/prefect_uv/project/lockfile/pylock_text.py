"""What is read from the text of a pylock.toml (PEP 751) without parsing most of its packages.

Every start reads it, and parsing 400 packages takes 66 ms. TOML has the fields of the document before its first table,
so they are parsed alone; of the packages only those with a path are, because only they can be on this machine.

Specification: https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from prefect_uv.errors import ProjectInvalidError
from prefect_uv.package_names import normalized
from prefect_uv.project.files.text_files import read_text
from prefect_uv.project.files.toml_tables import Table
from prefect_uv.shapes import TEXT_OR_NONE, mismatch

PYLOCK = "pylock.toml"
PYLOCK_NAME = re.compile(r"pylock\.(?:[^.]+\.)?toml")
HINT = "Lock again, commit, and push."
_PACKAGES_HEADER = re.compile(r"^\[\[[ \t]*packages[ \t]*\]\]", re.MULTILINE)
_PATH_FIELD = re.compile(r"\bpath[ \t]*=")
_NAME_LIST = ([str], None)
_FILE = {"path": TEXT_OR_NONE}
_ENTRY = {
    "name": str,
    "directory": ({"path": str, "subdirectory": TEXT_OR_NONE}, None),
    "archive": (_FILE, None),
    "sdist": (_FILE, None),
    "wheels": ([_FILE], None),
}
_DOCUMENT = {
    "created-by": TEXT_OR_NONE,
    "requires-python": TEXT_OR_NONE,
    "extras": _NAME_LIST,
    "dependency-groups": _NAME_LIST,
    "default-groups": _NAME_LIST,
    "packages": ([_ENTRY], None),
}


@dataclass(frozen=True)
class LocalEntry:
    """A package that is on this machine.

    Attributes:
        name: the normalized name.
        paths: the directory of its source code, or its archives, relative to the lockfile; one of them is enough.
        is_directory: whether it is source code.
    """

    name: str
    paths: tuple[str, ...]
    is_directory: bool


@dataclass(frozen=True)
class PylockText:
    """A lockfile, and its fields that are not about packages.

    Attributes:
        file: its path.
        created_by: the tool that made it.
        requires_python: the Python versions that it was made for; empty if it does not say.
        groups: the normalized names of its dependency groups, the default ones included.
        default_groups: those that are installed unless others are chosen.
        extras: the normalized names of the extras that it has packages for.
        local_entries: the packages on this machine, whether they are selected or not.
    """

    file: Path
    created_by: str
    requires_python: str
    groups: frozenset[str]
    default_groups: tuple[str, ...]
    extras: frozenset[str]
    local_entries: tuple[LocalEntry, ...]

    @classmethod
    def read(cls, file: Path) -> PylockText:
        """Read a file.

        Raises:
            ProjectInvalidError: it is not TOML, or its fields have other types.
        """
        head, *texts = _PACKAGES_HEADER.split(read_text(file))
        try:
            document = tomllib.loads(head)
            local = [tomllib.loads(f"[[packages]]{text}") for text in texts if _PATH_FIELD.search(text)]
        except (ValueError, RecursionError) as error:
            raise ProjectInvalidError(f"{file} cannot be read.", str(error), HINT) from None
        if finding := mismatch(document, {"created-by": str}) or mismatch([document, *local], [_DOCUMENT]):
            raise ProjectInvalidError(f"{file} does not follow PEP 751.", f"{finding}.", HINT)
        entries = [entry for table in (document, *local) for entry in table.get("packages", ())]
        default, groups, extras = (
            tuple(map(normalized, document.get(field, ())))
            for field in ("default-groups", "dependency-groups", "extras")
        )
        return cls(
            file,
            document["created-by"],
            document.get("requires-python", ""),
            frozenset([*groups, *default]),
            default,
            frozenset(extras),
            tuple(filter(None, map(_local_entry, entries))),
        )


def marker_of(text: str, names: Container[str]) -> str | None:
    """The marker of the first of these packages, empty if it has none; None if none of them is locked."""
    packages = tomllib.loads(text)["packages"]
    return next((entry.get("marker", "") for entry in packages if entry["name"] in names), None)


def _local_entry(entry: Table) -> LocalEntry | None:
    """What an entry has on this machine; None if all of its files have addresses."""
    if directory := entry.get("directory"):
        path = PurePosixPath(directory["path"], directory.get("subdirectory", ""))
        return LocalEntry(normalized(entry["name"]), (str(path),), is_directory=True)
    files = [*entry.get("wheels", ()), *filter(None, (entry.get("archive"), entry.get("sdist")))]
    paths = tuple(file["path"] for file in files if "path" in file)
    on_this_machine = paths and len(paths) == len(files)
    return LocalEntry(normalized(entry["name"]), paths, is_directory=False) if on_this_machine else None
