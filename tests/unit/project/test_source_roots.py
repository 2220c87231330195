"""Source roots by layout and by build settings."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from prefect_uv.errors import SourceRootMissingError
from prefect_uv.project.files.source_roots import chosen_roots, source_roots
from prefect_uv.project.lockfile.local_packages import LocalPackage

HATCH = '[build-system]\nbuild-backend = "hatchling.build"\n[tool.hatch.build'
SETUPTOOLS = '[build-system]\nbuild-backend = "setuptools.build_meta"\n[tool.setuptools'
FLIT = "[build-system]\nbuild-backend = '"
UV = '[build-system]\nbuild-backend = "uv_build"\n[tool.uv.build-backend]\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A project with code in several directories."""
    for name in ("src/etl", "lib/etl", "python/etl", "etl"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
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
        (SETUPTOOLS + '.packages.find]\ninclude = ["etl*"]', ["."]),
        (SETUPTOOLS + ']\npy-modules = ["flow"]', ["."]),
        (HATCH + '.targets.wheel]\nonly-include = ["etl"]', ["."]),
        (HATCH + '.targets.wheel.force-include]\n"lib/etl" = "etl"', ["lib"]),
        (HATCH + ".targets.wheel]\n[project]\nname = 'etl'", ["."]),
        (FLIT + "flit_core.buildapi'\n[project]\nname = 'a-b'", ["src"]),
        (FLIT + "flit_core.buildapi'\n[tool.flit.module]\nname = 'etl'", ["."]),
        (FLIT + "pdm.backend'", ["src"]),
        (FLIT + "pdm.backend'\n[tool.pdm.build]\npackage-dir = 'lib'", ["lib"]),
        (FLIT + "pdm.backend'\n[tool.pdm.build]\nincludes = ['etl']", ["."]),
        (FLIT + "poetry.core.masonry.api'\n[project]\nname = 'Etl'", ["."]),
        (FLIT + "poetry.core.masonry.api'\n[tool.poetry]\npackages = [{ include = 'etl', from = 'lib' }]", ["lib"]),
        (UV.replace("[tool.uv.build-backend]", "[tool]") + "uv = 1", ["src"]),
    ],
)
def test_build_settings(directory: Path, document: str, names: list[str]) -> None:
    """Configured directories are used if they exist, otherwise `src`."""
    assert source_roots(directory, tomllib.loads(document)) == tuple(directory / name for name in names)


COMPUTED = "its setup.py computes what to install"


def reason(directory: Path, document: str, setup_py: str = "") -> str:
    """Why a package has to be built."""
    if setup_py:
        (directory / "setup.py").write_text(setup_py)
    return LocalPackage("etl", directory, installable=True, document=tomllib.loads(document)).build_reason


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (FLIT + "maturin'", "only a build with maturin knows its modules"),
        (FLIT + "scikit_build_core.build'", "only a build with scikit_build_core.build knows its modules"),
        (FLIT + "mesonpy'", "only a build with mesonpy knows its modules"),
        (FLIT + "backend'\nbackend-path = ['.']", "it has a build backend of its own, backend"),
        (HATCH + ".hooks.vcs]\nversion-file = 'v.py'", "it has hatchling's build hook vcs"),
        (HATCH + '.targets.wheel.force-include]\n"lib/etl" = "other"', "lib/etl is installed as other"),
        (HATCH + '.targets.wheel.force-include]\n"README.md" = "etl/README.md"', ""),
        (HATCH + '.targets.wheel.sources]\n"" = "other"', ". is installed as other"),
        (SETUPTOOLS + '.package-dir]\nother = "lib/etl"', "lib/etl is installed as other"),
        (SETUPTOOLS + '.cmdclass]\nbuild_py = "tools.Build"', "setuptools has cmdclass for it"),
        ("[tool.setuptools_scm]\nversion_file = 'v.py'", "setuptools-scm writes its version into a file"),
        ("[tool.setuptools_scm]", ""),
        ("[[tool.setuptools-rust.ext-modules]]", "setuptools-rust compiles it"),
        (FLIT + "pdm.backend'\n[tool.pdm.version]\nwrite_to = 'v.py'", "its build writes its version into a file"),
        (FLIT + "pdm.backend'\n[tool.pdm.build]\nrun-setuptools = true", "it has a build hook"),
        (FLIT + "poetry.core.masonry.api'\n[tool.poetry.build]\nscript = 'b.py'", "it has a build script"),
    ],
)
def test_settings_that_need_a_build(directory: Path, document: str, expected: str) -> None:
    """What renames, compiles or generates modules, and what nobody here can read."""
    assert reason(directory, document) == expected


@pytest.mark.parametrize(
    ("script", "root"),
    [
        ("from setuptools import setup\nsetup()", "src"),
        ("import setuptools as s\ns.setup(name='etl', version=open('v').read(), packages=s.find_packages())", "."),
        ("from setuptools import setup\nsetup(package_dir={'': 'lib'})", "lib"),
        ("from setuptools import setup\nsetup(package_dir={'': LIB})", None),
        ("from setuptools import setup\nsetup(**arguments)", None),
        ("from skbuild import setup\nsetup()", None),
        ("import fine\nfine.run()", None),
        ("print 'Python 2'", None),
    ],
)
def test_setup_py(directory: Path, script: str, root: str | None) -> None:
    """A setup.py is read without running it; one that computes its arguments has to be run."""
    assert reason(directory, "", script) == ("" if root else COMPUTED)
    assert source_roots(directory, {}) == (directory / (root or "src"),)


def test_setup_py_with_an_extension(directory: Path) -> None:
    """It is compiled, wherever its modules are."""
    script = "from setuptools import setup\nsetup(ext_modules=[Extension('a', ['a.c'])])"
    assert reason(directory, "", script) == "setuptools has ext-modules for it"


def test_setup_cfg(directory: Path) -> None:
    """A setup.cfg counts if neither pyproject.toml nor setup.py says where packages are."""
    (directory / "setup.cfg").write_text("[options]\npackages = etl\npackage_dir =\n    = lib\n")
    assert source_roots(directory, {}) == (directory / "lib",)
    (directory / "setup.cfg").write_text("[options]\npackages = find:\n[options.packages.find]\nwhere = python\n")
    assert source_roots(directory, {}) == (directory / "python",)
    (directory / "setup.py").write_text("from setuptools import setup\nsetup(packages=['etl'])")
    assert source_roots(directory, {}) == (directory,)


def test_src_that_is_a_package(directory: Path) -> None:
    """Code of a project that uv does not build may say `from src.etl import …`."""
    (directory / "src" / "__init__.py").touch()
    assert source_roots(directory, {"project": {"name": "etl"}}) == (directory,)
    assert source_roots(directory, {"build-system": {"build-backend": "setuptools"}}) == (directory / "src",)


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
