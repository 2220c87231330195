"""Files with unexpected content are refused or ignored as uv does it, and never end in a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prefect_uv.image_facts import Image
from prefect_uv.project.files.source_roots import source_roots
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project_code.static_metadata import write_metadata
from tests.unit.checkouts import Checkout

PROJECT = """[project]
name = "{}"
version = "1"
requires-python = ">=3.11"
"""
WORKSPACE = PROJECT.format("root") + "[tool.uv.workspace]\n{}\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A root, a directory that may be its member, and a flow in each."""
    checkout = Checkout(tmp_path / "code", tmp_path)
    checkout.write(".git/HEAD", "")
    checkout.write("flows.py", "")
    checkout.write("m/flows.py", "")
    checkout.write("m/pyproject.toml", PROJECT.format("member"))
    return checkout


def lock(checkout: Checkout, directory: str) -> None:
    """Run `uv lock` in a directory."""
    command = ["uv", "lock", "--quiet", "--offline", "--python", sys.executable]
    subprocess.run(command, cwd=checkout.directory / directory, check=True, timeout=20)


@pytest.mark.parametrize(
    ("table", "is_member"),
    [
        ('members = [".", "m"]', True),
        ('members = ["./m/"]', True),
        ('members = ["{}/m*"]', True),
        ('members = [".", "/nowhere/*"]', False),
        ('members = [""]', False),
        ('members = ["*"]\nexclude = ["m"]', False),
    ],
)
def test_members_of_a_workspace(checkout: Checkout, table: str, is_member: bool) -> None:  # noqa: FBT001
    """The lockfile is looked for where uv writes it, for every form of pattern."""
    checkout.write("pyproject.toml", WORKSPACE.format(table.replace("{}", str(checkout.directory))))
    lock(checkout, "m")
    assert (checkout.directory / "uv.lock").is_file() == is_member
    assert checkout.look("m/flows.py:f").root == checkout.directory / ("" if is_member else "m")
    assert checkout.look("m/flows.py:f").name == "member"


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ('members = "packages/*"', "members = 'packages/*'"),
        ("members = [1]", "members = [1]"),
        ('members = ["m"]\nexclude = "m"', "exclude = 'm'"),
    ],
)
@pytest.mark.parametrize("entrypoint", ["flows.py:f", "m/flows.py:f"])
def test_invalid_workspace(checkout: Checkout, entry: str, found: str, entrypoint: str) -> None:
    """A workspace table that uv cannot read is refused."""
    checkout.write("pyproject.toml", WORKSPACE.format(entry))
    checkout.write("uv.lock", "")
    assert checkout.refusal(entrypoint, package="member") == (
        "error[project-invalid]: /code/pyproject.toml cannot be read.\n\n"
        f"[tool.uv.workspace] has {found}, which is not a list of strings.\n\n"
        "hint: Fix it, commit, and push."
    )


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock"])
def test_directory_instead_of_a_file(checkout: Checkout, name: str) -> None:
    """The error names the path."""
    checkout.write("pyproject.toml", PROJECT.format("etl"))
    checkout.write("uv.lock", "")
    (checkout.directory / name).unlink()
    (checkout.directory / name).mkdir()
    if name == "uv.lock":
        checkout.write("uv.lock/x", "")
        assert "error[lockfile-missing]: No uv.lock in /code." in checkout.refusal("flows.py:f")
    else:
        assert checkout.refusal("flows.py:f") == (
            "error[project-invalid]: /code/pyproject.toml cannot be read.\n\n"
            "Is a directory.\n\n"
            "hint: Make the file readable, commit, and push; or correct the job variable that names it."
        )


def test_name_that_is_too_long(checkout: Checkout) -> None:
    """A job variable with an impossible path is an error that names it."""
    name = "a" * 300
    assert checkout.refusal(project=name) == (
        f"error[project-invalid]: /code/{name} cannot be read.\n\n"
        "File name too long.\n\n"
        "hint: Make the file readable, commit, and push; or correct the job variable that names it."
    )


@pytest.mark.parametrize("entrypoint", [".:f", "..flows:f", "m..flows:f", ":f", "."])
def test_entrypoint_that_is_not_a_module(checkout: Checkout, entrypoint: str, this_image: Image) -> None:
    """The project of the working directory is used; Python reports the entrypoint later."""
    assert this_image.prefect in checkout.look(entrypoint).summary


def test_unusual_pattern_that_matches_nothing(checkout: Checkout) -> None:
    """A pattern that `pathlib` refuses gets the same error as any other."""
    assert checkout.refusal(requirements="**a.txt").startswith(
        "error[requirements-missing]: PREFECT_UV_REQUIREMENTS names **a.txt, but /code has no such file."
    )


@pytest.mark.parametrize(
    ("backend", "settings"),
    [
        ("uv_build", {"uv": {"build-backend": {"module-root": ["lib"]}}}),
        ("setuptools.build_meta", {"setuptools": {"package-dir": {"": 1}}}),
        ("setuptools.build_meta", {"setuptools": {"packages": {"find": {"where": "lib"}}}}),
        ("hatchling.build", {"hatch": {"build": {"dev-mode-dirs": 1, "packages": "lib", "sources": [1]}}}),
        ("hatchling.build", {"hatch": {"build": {"sources": {"lib": 1}}}}),
        (["uv_build"], {}),
    ],
)
def test_invalid_build_settings(tmp_path: Path, backend: object, settings: object) -> None:
    """They name no source root; only a build reports what is wrong with them."""
    for name in ("src", "lib", "l"):
        (tmp_path / name).mkdir()
    assert source_roots(tmp_path, {"build-system": {"build-backend": backend}, "tool": settings}) == (tmp_path / "src",)


def test_invalid_metadata(tmp_path: Path) -> None:
    """Values that are not tables of strings are left out."""
    points = {"g": "a:b", "h": {"one": "a:b", "two": 2}}
    project = {"name": "My.App", "version": "1", "dependencies": "prefect", "scripts": ["a"], "entry-points": points}
    write_metadata([LocalPackage("my-app", tmp_path, installable=True, document={"project": project})], tmp_path)
    (directory,) = tmp_path.glob("my_app-1.dist-info")
    assert (directory / "entry_points.txt").read_text() == "[h]\none = a:b\n"
    assert "Requires-Dist" not in (directory / "METADATA").read_text()


def test_invalid_default_groups(checkout: Checkout) -> None:
    """They are ignored here; uv refuses them when it runs."""
    checkout.write("pyproject.toml", PROJECT.format("etl") + "[tool.uv]\ndefault-groups = [1]\n")
    checkout.write("uv.lock", '[[package]]\nname = "etl"\nsource = { virtual = "." }\n')
    assert checkout.look("flows.py:f").name == "etl"
