"""Which files are sent or stored: git's rules decide, whatever is committed; equal trees give equal archives."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from prefect_uv_deploy.errors import CodeStoreError, DeployError
from prefect_uv_deploy.steps import pull_code, push_code
from prefect_uv_deploy.tree_archive import write_tree
from prefect_uv_deploy.working_tree import listed_files, size_warning
from tests.stack.git import git
from tests.unit.http_server import Answer, Server

KEPT = [".gitignore", "etl/.gitignore", "etl/data/keep.csv", "etl/flow ä.py", "flows.py"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a module, rules of what to ignore, and files that they ignore."""
    directory = tmp_path / "tree"
    (directory / "etl" / "data").mkdir(parents=True)
    (directory / ".gitignore").write_text("*.log\n.env\n/etl/data/*\n!/etl/data/keep.csv\n")
    (directory / "etl" / ".gitignore").write_text("secret.txt\n")
    for name in (
        "flows.py",
        "a.log",
        ".env",
        "etl/flow ä.py",
        "etl/secret.txt",
        "etl/data/big.csv",
        "etl/data/keep.csv",
    ):
        (directory / name).write_text(name)
    return directory


def digest(directory: Path) -> str:
    """The hash of a tree's archive."""
    return write_tree(directory, listed_files(directory), io.BytesIO())


def test_ignored_files_outside_of_a_repository(tree: Path) -> None:
    """The rules count without a repository, too; nothing is written into the tree."""
    assert listed_files(tree) == KEPT
    assert not (tree / ".git").exists()


def test_committed_or_not(tree: Path) -> None:
    """In a repository: committed, changed, new and deleted files, as they lie on the disk."""
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message", "All")
    (tree / "new.py").write_text("new")
    (tree / "flows.py").unlink()
    assert listed_files(tree) == [*KEPT[:-1], "new.py"]
    assert listed_files(tree / "etl") == [".gitignore", "data/keep.csv", "flow ä.py"], (
        "rules of directories above count"
    )


def test_repository_inside(tree: Path) -> None:
    """A nested repository has rules of its own; what it tracks is listed, its .git is not."""
    git(tree, "init", "--quiet")
    inner = tree / "libs" / "inner"
    inner.mkdir(parents=True)
    git(inner, "init", "--quiet")
    (inner / "lib.py").write_text("lib")
    git(inner, "add", ".")
    git(inner, "commit", "--quiet", "--message", "Inner")
    assert "libs/inner/lib.py" in listed_files(tree)
    assert not [name for name in listed_files(tree) if ".git/" in name]


def test_git_is_needed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git, nothing is guessed: an ignored file may be a secret."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DeployError, match="Install git"):
        listed_files(tree)


def test_variables_of_a_hook_are_not_used(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a hook of another repository, the same files are listed."""
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent/index")
    assert listed_files(tree) == KEPT


def test_equal_trees_have_equal_archives(tree: Path, tmp_path: Path) -> None:
    """Times, other modes and the place make no difference; names, contents and the executable bit do."""
    before = digest(tree)
    moved = tree.rename(tmp_path / "moved")
    (moved / "flows.py").chmod(0o600)
    os.utime(moved / "flows.py", (1, 1))
    assert digest(moved) == before
    (moved / "flows.py").chmod(0o755)
    executable = digest(moved)
    (moved / "flows.py").write_text("other")
    assert len({before, executable, digest(moved)}) == 3


def test_archive_is_the_same_everywhere(tree: Path) -> None:
    """This hash stays: another one would store all code once more, and would differ between colleagues."""
    assert digest(tree) == "864409e74f9c2753f775f4f3b1bbd1932de026edf1c0a4db721ec2c92618bb57"


def test_link_out_of_the_tree_is_refused(tree: Path) -> None:
    """It would lead elsewhere, or nowhere, at the run."""
    (tree / "inside.py").symlink_to("etl/../flows.py")
    assert digest(tree)
    for target in ("../elsewhere", "/etc/passwd"):
        (tree / "outside").symlink_to(target)
        with pytest.raises(DeployError, match="outside leads to"):
            digest(tree)
        (tree / "outside").unlink()


def test_large_trees_are_named(tree: Path) -> None:
    """The warning lists the largest directories first; small trees have none."""
    (tree / "etl" / "data" / "keep.csv").write_bytes(bytes(3_000_000))
    (tree / "flows.py").write_bytes(bytes(1_000_000))
    assert size_warning(tree, listed_files(tree)) == ""
    warning = size_warning(tree, listed_files(tree), limit=2_000_000)
    assert warning.startswith(
        "4.0 MB of files are sent, more than 2.0 MB; the largest directories are etl/data (3.0 MB), "
    )


def test_pushed_once_and_pulled(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path as store: the second push stores nothing; outside of our images, the package's own step pulls."""
    first = push_code(destination=f"file://{tmp_path}/store", directory=str(tree))
    again = push_code(destination=f"file://{tmp_path}/store", directory=str(tree))
    assert (first["stored"], again) == (True, {**first, "stored": False})
    monkeypatch.chdir(tmp_path)
    pulled = Path(pull_code(url=first["url"], sha256=first["sha256"])["directory"])
    assert sorted(str(path.relative_to(pulled)) for path in pulled.rglob("*") if path.is_file()) == sorted(KEPT)
    with pytest.raises(CodeStoreError, match="its hash is"):
        pull_code(url=first["url"], sha256="0" * 64)
    assert [path.name for path in tmp_path.glob("*code*")] == [pulled.name]


def test_store_of_fsspec(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any scheme that fsspec knows; a package that is missing is named."""
    output = push_code(destination="memory://code", directory=str(tree))
    assert push_code(destination="memory://code", directory=str(tree)) == {**output, "stored": False}
    monkeypatch.chdir(tmp_path)
    assert Path(pull_code(url=output["url"], sha256=output["sha256"])["directory"]).is_dir()
    with pytest.raises(CodeStoreError, match="the extra `s3`"):
        push_code(destination="s3://bucket/code", directory=str(tree))


def test_http_store_that_refuses(tree: Path, server: Server) -> None:
    """The error has the status and no login; the token is sent."""
    address = server.url.replace("http://", "http://me:s3cr3t@").removesuffix("/api")
    with pytest.raises(CodeStoreError, match="404") as caught:
        push_code(destination=f"{address}/code", directory=str(tree), token="t0ken")  # noqa: S106 (planted)
    assert "s3cr3t" not in str(caught.value)


def test_http_store(tree: Path, server: Server) -> None:
    """An archive that is there is not sent again."""
    output = {"sha256": digest(tree)}
    path = f"/code/{output['sha256']}.tar.gz"
    server.on(f"PUT {path}", Answer(201))
    address = f"{server.url.removesuffix('/api')}/code"
    assert push_code(destination=address, directory=str(tree), token="t0ken")["stored"]  # noqa: S106 (planted)
    (sent,) = server.to("PUT", path)
    assert sent.headers["authorization"] == "Bearer t0ken"
    with tarfile.open(fileobj=io.BytesIO(sent.body)) as archive:
        assert archive.getnames() == KEPT
    server.on(f"GET {path}", Answer(200))
    assert not push_code(destination=address, directory=str(tree))["stored"]


def test_store_is_not_left_with_half_a_file(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that fails leaves nothing behind."""

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prefect_uv_deploy.code_stores.shutil.copyfile", fail)
    with pytest.raises(CodeStoreError, match="No space left"):
        push_code(destination=str(tmp_path / "store"), directory=str(tree))
    assert [*(tmp_path / "store").iterdir()] == []
