"""Verification of an environment against its RECORD files."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.environments.build.verification import damaged_files, distributions


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """site-packages with one distribution, one of whose file names needs quoting."""
    directory = tmp_path / "lib" / "python3.13" / "site-packages"
    info = directory / "my_pkg-1.0.dist-info"
    info.mkdir(parents=True)
    (directory / "my_pkg.py").write_text("x = 1\n")
    (directory / "a,b.txt").write_text("abc")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").write_text("#!")
    (info / "RECORD").write_text(
        'my_pkg.py,sha256=x,6\n"a,b.txt",sha256=x,3\n../../../bin/tool,sha256=x,2\nmy_pkg-1.0.dist-info/RECORD,,\n'
    )
    return directory


def test_intact_environment(site: Path, tmp_path: Path) -> None:
    """There are no findings."""
    assert site.is_dir()
    assert damaged_files(tmp_path) == {}
    assert list(distributions(tmp_path)) == ["my-pkg"]


@pytest.mark.parametrize("name", ["my_pkg.py", "a,b.txt", "../../../bin/tool"])
def test_missing_file(site: Path, tmp_path: Path, name: str) -> None:
    """A missing file is named with its distribution."""
    (site / name).unlink()
    assert damaged_files(tmp_path) == {"my-pkg": [str(site / name)]}


def test_truncated_file(site: Path, tmp_path: Path) -> None:
    """A file that is too short, as a full disk leaves it, is named."""
    (site / "my_pkg.py").write_text("x")
    assert damaged_files(tmp_path) == {"my-pkg": [str(site / "my_pkg.py")]}


def test_missing_record(site: Path, tmp_path: Path) -> None:
    """A distribution without RECORD counts as damaged, because it cannot be verified."""
    (site / "my_pkg-1.0.dist-info" / "RECORD").unlink()
    assert damaged_files(tmp_path) == {"my-pkg": ["has no RECORD"]}


def test_blank_line_in_a_record(site: Path, tmp_path: Path) -> None:
    """A blank line names no file, and is no damage."""
    with (site / "my_pkg-1.0.dist-info" / "RECORD").open("a") as file:
        file.write("\n")
    assert damaged_files(tmp_path) == {}


def test_bytecode_of_first_imports_is_no_damage(site: Path, tmp_path: Path) -> None:
    """Files that RECORD does not list are ignored."""
    (site / "__pycache__").mkdir()
    (site / "__pycache__" / "my_pkg.cpython-313.pyc").write_bytes(b"x")
    assert damaged_files(tmp_path) == {}
