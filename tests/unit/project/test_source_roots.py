"""Source roots by layout and by build settings."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from prefect_uv.errors import SourceRootMissingError
from prefect_uv.project.files.source_roots import chosen_roots, source_roots

HATCH = '[build-system]\nbuild-backend = "hatchling.build"\n[tool.hatch.build'
SETUPTOOLS = '[build-system]\nbuild-backend = "setuptools.build_meta"\n[tool.setuptools'
UV = '[build-system]\nbuild-backend = "uv_build"\n[tool.uv.build-backend]\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A project with code in several directories."""
    for name in ("src/etl", "lib/etl", "python/etl", "etl"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("", ["src"]),
        ("[project]\nname = 'etl'", ["src"]),
        ("[build-system]\nbuild-backend = 'maturin'", ["src"]),
        (UV, ["src"]),
        (UV + 'module-root = "python"', ["python"]),
        (UV + 'module-root = ""', ["."]),
        (UV + 'module-root = "gone"', ["src"]),
        (HATCH + '.targets.wheel]\npackages = ["lib/etl", "python/etl"]', ["lib", "python"]),
        (HATCH + '.targets.wheel]\npackages = ["etl"]', ["."]),
        (HATCH + '.targets.wheel]\nsources = ["lib"]', ["lib"]),
        (HATCH + '.targets.wheel.sources]\n"lib/etl" = "etl"', ["lib"]),
        (HATCH + '.targets.wheel.sources]\n"lib/etl" = "other"', ["src"]),
        (HATCH + ']\npackages = ["lib/etl"]', ["lib"]),
        (HATCH + ']\ndev-mode-dirs = ["."]', ["."]),
        (SETUPTOOLS + ']\npackage-dir = { "" = "lib" }', ["lib"]),
        (SETUPTOOLS + ']\npackage-dir = { "etl" = "python/etl" }', ["python"]),
        (SETUPTOOLS + ']\npackage-dir = { "shop" = "python/etl" }', ["src"]),
        (SETUPTOOLS + ']\npackages = ["etl"]', ["."]),
        (SETUPTOOLS + '.packages.find]\nwhere = ["lib", "python"]', ["lib", "python"]),
        ('[tool.setuptools.packages.find]\nwhere = ["lib"]', ["lib"]),
        (UV.replace("[tool.uv.build-backend]", "[tool]") + "uv = 1", ["src"]),
    ],
)
def test_build_settings(directory: Path, document: str, names: list[str]) -> None:
    """Configured directories are used if they exist, otherwise `src`."""
    assert source_roots(directory, tomllib.loads(document)) == tuple(directory / name for name in names)


def test_flat_layout(tmp_path: Path) -> None:
    """Without `src`, the project's directory is the source root."""
    assert source_roots(tmp_path, {}) == (tmp_path,)


def test_chosen_directories(directory: Path) -> None:
    """PREFECT_UV_SOURCE_ROOT keeps its order."""
    assert chosen_roots(directory, ["python", "lib"]) == (directory / "python", directory / "lib")


def test_chosen_directory_missing(directory: Path) -> None:
    """The error's full text lists each missing directory."""
    with pytest.raises(SourceRootMissingError) as caught:
        chosen_roots(directory, ["lib", "source", "app/src"])
    assert caught.value.render() == (
        f"error[source-root-missing]: PREFECT_UV_SOURCE_ROOT names a directory that is not in {directory}.\n\n"
        f"Missing: {directory}/source, {directory}/app/src.\n\n"
        "hint: List directories relative to the pulled code, such as `src` or `packages/etl/src`, separated by commas."
    )
