"""The local packages of a lock, as a real uv writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prefect_uv.project.lockfile.local_packages import LocalPackage, import_path, local_package_paths, local_packages
from prefect_uv.project.selection import Selection

BUILD = """
[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
"""
MEMBERS = {
    "etl": """dependencies = ["lib"]
[project.optional-dependencies]
charts = ["charts"]
[dependency-groups]
ml = ["models"]
nightly = [{ include-group = "ml" }]
dev = ["checks"]
usual = ["reports"]
[tool.uv]
default-groups = ["dev", "usual"]
""",
    "lib": 'dependencies = ["base[fast]"]\n',
    "base": '[project.optional-dependencies]\nfast = ["fast"]\nslow = ["slow"]\n',
    **dict.fromkeys(("charts", "models", "checks", "reports", "fast", "slow", "alone"), ""),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of ten packages and a virtual member, locked by uv."""
    root = tmp_path_factory.mktemp("workspace")
    sources = "".join(f"{name} = {{ workspace = true }}\n" for name in MEMBERS)
    (root / "pyproject.toml").write_text(
        f'[dependency-groups]\nfor-all = ["slow"]\n[tool.uv.workspace]\nmembers = ["packages/*"]\n'
        f"[tool.uv.sources]\n{sources}\n"
    )
    for name, more in {**MEMBERS, "plain": 'dependencies = ["alone"]\n'}.items():
        member = root / "packages" / name
        member.mkdir(parents=True)
        project = f'[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.11"\n{more}'
        (member / "pyproject.toml").write_text(project + (BUILD if name in MEMBERS else ""))
    command = ["uv", "lock", "--quiet", "--offline", "--python", sys.executable, "--cache-dir", str(root / ".cache")]
    subprocess.run(command, cwd=root, check=True, timeout=30)
    return root


def found(root: Path, member: str, **selection: tuple[str, ...]) -> tuple[LocalPackage, ...]:
    """The local packages of a member's selection."""
    text = (root / "uv.lock").read_text()
    return local_packages(text, root, root / "packages" / member, Selection(**selection))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ({}, "lib reports base fast"),
        ({"groups": ("ml",)}, "lib models reports base fast"),
        ({"groups": ("nightly",)}, "lib models reports base fast"),
        ({"groups": ("dev",)}, "lib checks reports base fast"),
        ({"extras": ("charts",)}, "lib charts reports base fast"),
        ({"groups": ("for-all",)}, "lib slow reports base fast"),
        ({"only_groups": ("ml",)}, "models"),
    ],
)
def test_what_the_selection_needs(workspace: Path, selection: dict[str, tuple[str, ...]], names: str) -> None:
    """Dependencies of dependencies with their extras, selected and default groups; nothing that only others need."""
    first, *others = (package.name for package in found(workspace, "etl", **selection))
    assert (first, *sorted(others)) == ("etl", *sorted(names.split()))


def test_member_by_name(workspace: Path) -> None:
    """PREFECT_UV_PACKAGE chooses one, wherever the project was found."""
    text = (workspace / "uv.lock").read_text()
    packages = local_packages(text, workspace, workspace, Selection(package="lib"))
    assert [package.name for package in packages] == ["lib", "base", "fast"]


def test_all_of_a_workspace_whose_root_is_no_project(workspace: Path) -> None:
    """As uv syncs it."""
    packages = local_packages((workspace / "uv.lock").read_text(), workspace, workspace, Selection())
    assert {package.name for package in packages} == {*MEMBERS, "plain"}


def test_virtual_project_is_not_installable(workspace: Path) -> None:
    """A project without a build system; what it depends on is one all the same."""
    assert [(package.name, package.installable) for package in found(workspace, "plain")] == [
        ("plain", False),
        ("alone", True),
    ]


def test_named_by_a_package_of_an_index(workspace: Path) -> None:
    """A local package may stand in for one that a package of an index depends on."""
    text = (workspace / "uv.lock").read_text()
    text += '\n[[package]]\nname = "third"\nsource = { registry = "x" }\ndependencies = [\n    { name = "slow" },\n]\n'
    packages = local_packages(text, workspace, workspace / "packages" / "plain", Selection())
    assert [package.name for package in packages] == ["plain", "alone", "slow"]


def test_directories_of_all(workspace: Path) -> None:
    """Whether they are selected or not: their pyproject.toml counts for the lock."""
    places = local_package_paths((workspace / "uv.lock").read_text(), workspace)
    assert {place.name for _, place in places} == {*MEMBERS, "plain"}


def test_lock_that_cannot_be_read(workspace: Path) -> None:
    """It is left for uv, which says where it is broken."""
    text = '[[package]]\nname = "etl"\nsource = { editable = "etl" }\n<<<<<<< ours\n'
    assert local_packages(text, workspace, workspace / "etl", Selection()) == ()


def test_import_path(workspace: Path) -> None:
    """The project's own directories first; the chosen ones stand in for them and for nothing else."""
    (workspace / "packages" / "lib" / "src").mkdir()
    packages = found(workspace, "lib")
    directory, fast = workspace / "packages" / "lib", workspace / "packages" / "fast"
    path = import_path(packages, directory, ())
    assert path == (directory / "src", workspace / "packages" / "base", fast)
    assert import_path(packages, directory, (workspace, directory)) == (workspace, directory, *path[1:])
