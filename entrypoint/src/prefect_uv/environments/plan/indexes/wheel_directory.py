"""The wheel directory (PREFECT_UV_WHEELS): a locked project is installed from it by hashes, without an index."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.environments.key.fingerprint_index import file_stamp
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import OfflinePackageMissingError
from prefect_uv.project.files.requirement_lines import Requirement, parse_requirements

if TYPE_CHECKING:
    from packaging.version import Version

WHEELS_HINT = "Add the wheels (with `uv export`, then `pip download`), or unset PREFECT_UV_WHEELS to use an index."


def requirement_lines(directory: Path, contents: Contents, exported: Iterable[Requirement]) -> list[str]:
    """The planned packages as pinned requirements with hashes, and wheels in the checkout as absolute paths.

    Args:
        directory: where relative paths in the export start.
        contents: what is planned.
        exported: the lock's requirements, with hashes, by `uv export`.
    """
    planned = [item for item in exported if item.name in contents.packages]
    in_checkout = {item.name: str((directory / item.path).resolve()) for item in planned if not item.named}
    hashes = {(item.name, item.version): item.hashes for item in planned}
    versions = [(name, package.version) for name, package in contents.packages.items() if name not in in_checkout]
    pins = [[f"{name}=={version}", *hashes.get((name, version), ())] for name, version in versions]
    return [*in_checkout.values(), *(" --hash=".join(pin) for pin in pins)]


def install_from_wheels(uv: Uv, pins: Sequence[str], environment: Path, link_mode: str) -> None:
    """Install exactly these requirement lines from the wheel directory.

    Raises:
        OfflinePackageMissingError: the directory lacks some of the wheels.
    """
    _refuse_missing_wheels(pins, uv.settings.wheels or Path())
    with tempfile.TemporaryDirectory(prefix="prefect-uv-wheels-") as private:
        file = Path(private) / "requirements.txt"
        write_file(file, "\n".join(pins) + "\n")
        uv.install(environment, file, link_mode)


def list_wheels(wheels: Path | None) -> list[str]:
    """Names and stamps of the wheels in the wheel directory, for the fingerprint; empty if there is no directory."""
    files = sorted(wheels.glob("*.whl")) if wheels else []
    return [f"{file.name} {file_stamp(str(file))}" for file in files]


def _refuse_missing_wheels(pins: Sequence[str], wheels: Path) -> None:
    from packaging.version import Version  # noqa: PLC0415 (no warm start installs)

    present = {*_names_and_versions(wheels)}
    needed = sorted((item.name, item.version) for item in parse_requirements("\n".join(pins)) if item.named)
    if missing := [f"{name} {version}" for name, version in needed if (name, Version(version)) not in present]:
        count = f"{len(missing)} wheels are" if len(missing) > 1 else "A wheel is"
        raise OfflinePackageMissingError(f"{count} missing from {wheels}.", "\n".join(missing), WHEELS_HINT)


def _names_and_versions(wheels: Path) -> Iterator[tuple[str, Version]]:
    """Names and versions of the wheels in a directory; like uv, without files that have no valid name of a wheel."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415 (see above)

    for file in wheels.glob("*.whl"):
        with suppress(InvalidWheelFilename):
            name, version, *_ = parse_wheel_filename(file.name)
            yield name, version
