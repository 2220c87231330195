"""Locks whose packages come from a directory of wheels (`find-links`, or a flat index) that is not where it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.errors import LocalDependencyMissingError
from prefect_uv.image_facts import Image
from tests.unit.etl import Etl, sync

FLAT = '[[tool.uv.index]]\nname = "local"\nformat = "flat"\nurl = "{}"\n'
LINKS = '[tool.uv]\nno-index = true\nfind-links = ["{}"]\n'
RELATIVE_HINT = "Commit and push vendor, or name an index that this container can reach, and run `uv lock`."
ABSOLUTE_HINT = (
    "Name it in [tool.uv] by a path inside the repository, relative to pyproject.toml. Run `uvx uv@{uv} lock`, because"
    " some older versions of uv write the whole path all the same; commit the lockfile and the wheels, and push."
)


def write_settings(etl: Etl, settings: str) -> None:
    """Replace the settings of the project, and lock it."""
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text().partition("[tool.uv]")[0] + settings)
    (etl.directory / "uv.lock").unlink()
    etl.lock()


def lock_absolute(etl: Etl, place: Path) -> None:
    """Write the whole path into the lockfile, as some versions of uv do (https://github.com/astral-sh/uv/issues/20477)."""
    etl.edit_lock('registry = "vendor"', f'registry = "{place}"')
    etl.edit_lock('path = "prefect', f'path = "{place}/prefect')


@pytest.mark.parametrize("policy", ["locked", "frozen"])
@pytest.mark.parametrize("settings", [FLAT, LINKS])
@pytest.mark.parametrize("written", ["absolute", "absolute in the lock", "relative"])
def test_directory_of_wheels_is_missing(
    etl: Etl, make_store: Callable[..., EnvironmentStore], settings: str, written: str, policy: str
) -> None:
    """The full text, whichever of uv's commands fails; running `uv lock` alone would not help."""
    vendor = etl.directory / "vendor"
    etl.wheels.rename(vendor)
    write_settings(etl, settings.format(vendor if written == "absolute" else "vendor"))
    if written == "absolute in the lock":
        lock_absolute(etl, etl.directory / "elsewhere")
    else:
        shutil.rmtree(vendor)
    with pytest.raises(LocalDependencyMissingError) as caught:
        sync(make_store(PREFECT_UV_LOCK=policy), etl)
    hint = RELATIVE_HINT if written == "relative" else ABSOLUTE_HINT.format(uv=Image.read().uv)
    assert caught.value.render().replace(str(etl.directory), "/code").replace("elsewhere", "vendor") == (
        "error[dependency-unreachable]: uv.lock has packages from /code/vendor, which was not pulled.\n\n"
        f"/code/vendor does not exist.\n\nhint: {hint}"
    )


def test_directory_of_wheels_that_is_not_needed(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """As with `uv sync`, only the packages that are selected have to be there."""
    shutil.copytree(etl.wheels, etl.directory / "vendor")
    group = '[dependency-groups]\ndocs = ["helper"]\n[tool.uv.sources]\nhelper = { index = "local" }\n'
    others = '[[tool.uv.index]]\nformat = "flat"\nurl = "../wheels"\ndefault = true\n'
    write_settings(etl, group + FLAT.format("vendor") + "explicit = true\n" + others)
    shutil.rmtree(etl.directory / "vendor")
    assert installed_versions(sync(make_store(PREFECT_UV_LOCK="frozen"), etl).path) == {"prefect": "3.8.8"}
