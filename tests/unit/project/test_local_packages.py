"""Which local packages a selection needs, read from a lock that a real uv has written."""

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


def packages_of(root: Path, member: str, **selection: tuple[str, ...]) -> tuple[LocalPackage, ...]:
    """The local packages that a selection of a member needs."""
    lock = (root / "uv.lock").read_text()
    return local_packages(lock, root, root / "packages" / member, Selection(**selection))  # type: ignore[arg-type]


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
def test_only_what_a_selection_needs(workspace: Path, selection: dict[str, tuple[str, ...]], names: str) -> None:
    """Transitive dependencies, their extras, selected and default groups are found; what only others need is not."""
    first, *others = (package.name for package in packages_of(workspace, "etl", **selection))
    assert (first, *sorted(others)) == ("etl", *sorted(names.split()))


def test_member_by_name(workspace: Path) -> None:
    """PREFECT_UV_PACKAGE selects a member, wherever the project was found."""
    lock = (workspace / "uv.lock").read_text()
    packages = local_packages(lock, workspace, workspace, Selection(package="lib"))
    assert [package.name for package in packages] == ["lib", "base", "fast"]


def test_all_members_if_the_root_is_not_a_project(workspace: Path) -> None:
    """Without a selection all members are needed, as for `uv sync`."""
    packages = local_packages((workspace / "uv.lock").read_text(), workspace, workspace, Selection())
    assert {package.name for package in packages} == {*MEMBERS, "plain"}


def test_virtual_project_is_not_installable(workspace: Path) -> None:
    """A project without a build system is not installed, but its dependencies are."""
    assert [(package.name, package.installable) for package in packages_of(workspace, "plain")] == [
        ("plain", False),
        ("alone", True),
    ]


def test_dependency_of_a_package_from_an_index(workspace: Path) -> None:
    """A local package is needed if a package from an index depends on it."""
    lock = (workspace / "uv.lock").read_text()
    lock += '\n[[package]]\nname = "third"\nsource = { registry = "x" }\ndependencies = [\n    { name = "slow" },\n]\n'
    packages = local_packages(lock, workspace, workspace / "packages" / "plain", Selection())
    assert [package.name for package in packages] == ["plain", "alone", "slow"]


def test_paths_of_all_local_packages(workspace: Path) -> None:
    """Unselected packages are listed too, because their pyproject.toml can change the lock."""
    paths = local_package_paths((workspace / "uv.lock").read_text(), workspace)
    assert {path.name for _, path in paths} == {*MEMBERS, "plain"}


def test_broken_lock_has_no_packages(workspace: Path) -> None:
    """A lock that is not TOML is left to uv, which reports where it is broken."""
    lock = '[[package]]\nname = "etl"\nsource = { editable = "etl" }\n<<<<<<< ours\n'
    assert local_packages(lock, workspace, workspace / "etl", Selection()) == ()


def test_import_path(workspace: Path) -> None:
    """The project's own source roots come first; chosen ones replace these and no others."""
    (workspace / "packages" / "lib" / "src").mkdir()
    packages = packages_of(workspace, "lib")
    directory, fast = workspace / "packages" / "lib", workspace / "packages" / "fast"
    path = import_path(packages, directory, ())
    assert path == (directory / "src", workspace / "packages" / "base", fast)
    assert import_path(packages, directory, (workspace, directory)) == (workspace, directory, *path[1:])
