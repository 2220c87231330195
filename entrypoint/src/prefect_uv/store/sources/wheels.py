"""A locked project from a directory of wheels: the files that its lock names, without an index."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from prefect_uv.errors import OfflineMissingError
from prefect_uv.settings import Settings
from prefect_uv.store.contents import Contents
from prefect_uv.store.requirements import Requirement, normalized
from prefect_uv.store.uv import Uv

HINT = "Put the wheels there (`uv export`, then `pip download`), or take packages from an index: unset PREFECT_UV_WHEELS."


def install_from_wheels(
    uv: Uv, directory: Path, contents: Contents, exported: Iterable[Requirement], place: Path, link_mode: str
) -> None:
    """Install what the lock names; the hashes in it decide which files are accepted.

    Raises:
        OfflineMissingError: wheels that are not in the directory.
    """
    chosen = [requirement for requirement in exported if requirement.name in contents.packages]
    here = {requirement.name: requirement for requirement in chosen if not requirement.named}
    wanted = {name: package.version for name, package in contents.packages.items() if name not in here}
    _refuse_missing(wanted, uv.settings.wheels or Path())
    hashes = {(item.name, item.version): item.hashes for item in chosen}
    lines = [str((directory / requirement.what).resolve()) for requirement in here.values()]
    for name, version in wanted.items():
        lines.append(" ".join([f"{name}=={version}", *(f"--hash={mark}" for mark in hashes.get((name, version), ()))]))
    with tempfile.TemporaryDirectory(prefix="prefect-uv-wheels-") as private:
        file = Path(private) / "requirements.txt"
        file.write_text("\n".join(lines) + "\n")
        uv.install(place, file, link_mode)


def _refuse_missing(wanted: dict[str, str], wheels: Path) -> None:
    there = {tuple(path.name.split("-")[:2]) for path in wheels.glob("*.whl")}
    known = {(normalized(name), version) for name, version in there}
    if missing := [f"{name} {version}" for name, version in sorted(wanted.items()) if (name, version) not in known]:
        raise OfflineMissingError(
            f"{len(missing)} wheel{'s are' * (len(missing) > 1) or ' is'} not in {wheels}.", "\n".join(missing), HINT
        )


def listing(settings: Settings) -> list[str]:
    """What is in the directory of wheels, where one is given: another choice may give another answer."""
    return sorted(path.name for path in settings.wheels.glob("*.whl")) if settings.wheels else []
