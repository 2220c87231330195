"""A locked project from a directory of wheels: the files that its lock names, without an index."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.environments.key.fingerprint_index import file_stamp
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import OfflineMissingError
from prefect_uv.package_names import normalized
from prefect_uv.project.files.requirement_lines import Requirement, parse_requirements
from prefect_uv.settings import Settings

WHEELS_HINT = "Add the wheels (with `uv export`, then `pip download`), or unset PREFECT_UV_WHEELS to use an index."


def requirement_lines(directory: Path, contents: Contents, exported: Iterable[Requirement]) -> list[str]:
    """What the lock names, as requirements: the hashes in it decide which files are accepted."""
    chosen = [item for item in exported if item.name in contents.packages]
    here = {item.name: str((directory / item.path).resolve()) for item in chosen if not item.named}
    hashes = {(item.name, item.version): item.hashes for item in chosen}
    wanted = [(name, package.version) for name, package in contents.packages.items() if name not in here]
    pins = [[f"{name}=={version}", *hashes.get((name, version), ())] for name, version in wanted]
    return [*here.values(), *(" --hash=".join(pin) for pin in pins)]


def install_from_wheels(uv: Uv, pins: Sequence[str], place: Path, link_mode: str) -> None:
    """Install these lines, and nothing else, from the directory.

    Raises:
        OfflineMissingError: wheels that are not in the directory.
    """
    _refuse_missing(pins, uv.settings.wheels or Path())
    with tempfile.TemporaryDirectory(prefix="prefect-uv-wheels-") as private:
        file = Path(private) / "requirements.txt"
        file.write_text("\n".join(pins) + "\n")
        uv.install(place, file, link_mode)


def _refuse_missing(pins: Sequence[str], wheels: Path) -> None:
    there = {tuple(path.name.split("-")[:2]) for path in wheels.glob("*.whl")}
    known = {(normalized(name), version) for name, version in there}
    wanted = [(item.name, item.version) for item in parse_requirements("\n".join(pins)) if item.named]
    if missing := [f"{name} {version}" for name, version in sorted(wanted) if (name, version) not in known]:
        count = f"{len(missing)} wheels are" if len(missing) > 1 else "A wheel is"
        raise OfflineMissingError(f"{count} missing from {wheels}.", "\n".join(missing), WHEELS_HINT)


def list_wheels(settings: Settings) -> list[str]:
    """What is in the directory of wheels, where one is given: another choice may give another answer."""
    files = sorted(settings.wheels.glob("*.whl")) if settings.wheels else []
    return [f"{file.name} {file_stamp(str(file))}" for file in files]
