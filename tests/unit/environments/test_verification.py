"""An installed environment is compared with its RECORD files."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.environments.build.verification import damaged_files, distributions


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """site-packages with one distribution whose names need quoting."""
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


def test_whole_environment(site: Path, tmp_path: Path) -> None:
    """Nothing to tell."""
    assert site.is_dir()
    assert damaged_files(tmp_path) == {}
    assert list(distributions(tmp_path)) == ["my-pkg"]


@pytest.mark.parametrize("name", ["my_pkg.py", "a,b.txt", "../../../bin/tool"])
def test_missing_file(site: Path, tmp_path: Path, name: str) -> None:
    """A file that is not there is named with its distribution."""
    (site / name).unlink()
    assert damaged_files(tmp_path) == {"my-pkg": [str(site / name)]}


def test_file_that_was_cut_short(site: Path, tmp_path: Path) -> None:
    """As a full disk leaves it."""
    (site / "my_pkg.py").write_text("x")
    assert damaged_files(tmp_path) == {"my-pkg": [str(site / "my_pkg.py")]}


def test_missing_record(site: Path, tmp_path: Path) -> None:
    """A distribution without RECORD cannot be vouched for."""
    (site / "my_pkg-1.0.dist-info" / "RECORD").unlink()
    assert damaged_files(tmp_path) == {"my-pkg": ["has no RECORD"]}


def test_blank_line_in_a_record(site: Path, tmp_path: Path) -> None:
    """It names no file."""
    with (site / "my_pkg-1.0.dist-info" / "RECORD").open("a") as file:
        file.write("\n")
    assert damaged_files(tmp_path) == {}


def test_bytecode_of_first_imports_is_no_damage(site: Path, tmp_path: Path) -> None:
    """Files that were added later do not count."""
    (site / "__pycache__").mkdir()
    (site / "__pycache__" / "my_pkg.cpython-313.pyc").write_bytes(b"x")
    assert damaged_files(tmp_path) == {}
