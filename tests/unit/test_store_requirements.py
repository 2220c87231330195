"""Requirements as pip writes them and uv exports them: what is in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.store.requirements import parsed, sources, wanted

HASH = "sha256:aa"


@pytest.mark.parametrize(
    ("line", "name", "version", "exact"),
    [
        ("prefect", "prefect", "", False),
        ("Flask_Login>=1,<2", "flask-login", "", False),
        ("a==1.0", "a", "1.0", True),
        ("a == 1.0 ; python_version < '4'", "a", "1.0", True),
        ("a===1.0", "a", "1.0", True),
        ("a==1.*", "a", "", False),
        ("a==1.0,!=1.1", "a", "", False),
        ("a~=1.0", "a", "", False),
        ("a[x,y]==1.0  # why", "a", "1.0", True),
        ("a==1.0+cpu", "a", "1.0+cpu", True),
        (f"a==1.0 --hash={HASH}", "a", "1.0", True),
        ("a==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb", "a", "1.0", True),
        ("a @ git+https://host.example/a@c0ffee", "a", "", True),
        ("a@https://host.example/a-1.0-py3-none-any.whl", "a", "", True),
        ("git+https://host.example/team/my-tools.git@main", "my-tools", "", True),
        ("https://host.example/acme_tools-1.0-py3-none-any.whl", "acme-tools", "", True),
        ("./vendor/acme_tools-1.0-py3-none-any.whl --hash=sha256:aa", "acme-tools", "", True),
        ("acme_tools-1.0.tar.gz", "acme-tools", "", True),
    ],
)
def test_requirement(line: str, name: str, version: str, *, exact: bool) -> None:
    """Its name as uv writes it, its version where there is one, and whether anything is left to choose."""
    (found,) = parsed(line)
    assert (found.name, found.version, found.exact) == (name, version, exact)


def test_hashes() -> None:
    """In any order."""
    (found,) = parsed("a==1.0 --hash=sha256:b --hash sha256:a")
    assert found.hashes == ("sha256:a", "sha256:b")


@pytest.mark.parametrize("line", ["", "# a", "-i https://index.example", "--no-binary a", "-e ./lib", "-r more.txt"])
def test_no_requirement(line: str) -> None:
    """Comments and options."""
    assert parsed(line) == []


def test_included_files(tmp_path: Path) -> None:
    """Their requirements count, those of constraints do not; all of them are inputs."""
    (tmp_path / "more").mkdir()
    (tmp_path / "a.txt").write_text("a\n-r more/b.txt\n")
    (tmp_path / "more" / "b.txt").write_text("b\n--requirement=c.txt\n-c d.txt\n")
    (tmp_path / "more" / "c.txt").write_text("c\n")
    (tmp_path / "more" / "d.txt").write_text("d==1\n")
    files = [tmp_path / "a.txt"]
    assert [item.name for item in wanted(["x"], files)] == ["x", "a", "b", "c"]
    assert [name for name, _ in sources(files)] == ["a.txt", "b.txt", "c.txt", "d.txt"]


def test_script(tmp_path: Path) -> None:
    """Its block is an input, its code is not."""
    script = tmp_path / "flow.py"
    script.write_text('# /// script\n# dependencies = ["a==1", "b"]\n#\n# ///\nimport a\n')
    assert [item.name for item in wanted((), [script])] == ["a", "b"]
    before = list(sources([script]))
    script.write_text(script.read_text() + "more = 'code'\n")
    assert list(sources([script])) == before
