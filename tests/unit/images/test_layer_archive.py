"""Layers: equal files give equal bytes, and no archive writes outside of its directory."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from prefect_uv.environments.images.layer_archive import Unpacking, write_layer
from prefect_uv.errors import ImageInvalidError

Entry = tuple[str, bytes, str]
PLANTED: dict[str, tuple[list[Entry], str]] = {
    "absolute": ([("/tmp/planted", tarfile.REGTYPE, "")], "leads out of it"),
    "upwards": ([("a/../../planted", tarfile.REGTYPE, "")], "leads out of it"),
    "behind a link": (
        [("a", tarfile.SYMTYPE, ".."), ("a/planted", tarfile.REGTYPE, "")],
        "is behind a file or a symbolic link",
    ),
    "directory in place of a link": (
        [("a", tarfile.SYMTYPE, ".."), ("a", tarfile.DIRTYPE, ""), ("a/planted", tarfile.REGTYPE, "")],
        "is behind a file or a symbolic link",
    ),
    "through a link": ([("a", tarfile.SYMTYPE, "../planted"), ("a", tarfile.REGTYPE, "")], "is there twice"),
    "hard link": ([("a", tarfile.LNKTYPE, "/etc/passwd")], "is neither a file nor a directory"),
    "device": ([("a", tarfile.CHRTYPE, "")], "is neither a file nor a directory"),
    "pipe": ([("a", tarfile.FIFOTYPE, "")], "is neither a file nor a directory"),
    "impossible name": ([("a\0b", tarfile.REGTYPE, "")], "has a name that no file can have"),
    "whiteout": ([("a/.wh.b", tarfile.REGTYPE, "")], "removes something"),
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a file, a program and a link."""
    root = tmp_path / "files"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "text").write_text("text\n")
    (root / "a" / "b" / "program").write_text("#!/bin/sh\n")
    (root / "a" / "b" / "program").chmod(0o700)
    (root / "a" / "link").symlink_to("b/program")
    return root


PATHS = ("a/b/program", "a/link", "a/text")


def test_equal_files_give_equal_layers(files: Path, tmp_path: Path) -> None:
    """Times, owners, and modes beyond "executable" make no difference; nor does the order in which files are named."""
    first = write_layer(files, PATHS, tmp_path / "first")
    for path in files.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
        os.chown(path, 4711, 4711, follow_symlinks=False)
    (files / "a" / "text").chmod(0o664)
    second = write_layer(files, PATHS[::-1], tmp_path / "second")
    assert first == second
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    (files / "a" / "text").write_text("next\n")
    assert write_layer(files, PATHS, tmp_path / "third").blob.digest != first.blob.digest


def test_layer_is_unpacked_as_it_was(files: Path, tmp_path: Path) -> None:
    """With links and programs; everybody may read it."""
    write_layer(files, PATHS, tmp_path / "layer")
    with tarfile.open(tmp_path / "layer") as archive:
        assert {(entry.uid, entry.uname, entry.mtime) for entry in archive} == {(0, "", 315532800)}
    target = tmp_path / "unpacked"
    target.mkdir()
    Unpacking(target, "image").unpack(tmp_path / "layer")
    assert (target / "a" / "link").readlink() == Path("b/program")
    assert (target / "a" / "text").read_text() == "text\n"
    assert os.access(target / "a" / "b" / "program", os.X_OK)
    assert (target / "a" / "text").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", PLANTED)
def test_planted_entry_is_refused(name: str, tmp_path: Path) -> None:
    """Whoever can write to the registry gets nothing written outside of the directory."""
    entries, reason = PLANTED[name]
    with tarfile.open(tmp_path / "layer", "w:gz") as archive:
        for path, kind, link in entries:
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname, entry.size = kind, link, 7 if kind == tarfile.REGTYPE else 0
            entry.pax_headers = {"path": path}
            archive.addfile(entry, io.BytesIO(b"planted"))
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(ImageInvalidError, match=reason):
        Unpacking(target, "image").unpack(tmp_path / "layer")
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("damage", ["cut off", "flipped", "something else"])
def test_damaged_layer_is_refused(files: Path, tmp_path: Path, damage: str) -> None:
    """Even if its digest is right."""
    layer = tmp_path / "layer"
    write_layer(files, PATHS, layer)
    content = bytearray(layer.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    layer.write_bytes(content[:100] if damage == "cut off" else content if damage == "flipped" else b"x" * 1000)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(ImageInvalidError, match="A layer of image is damaged"):
        Unpacking(target, "image").unpack(layer)
