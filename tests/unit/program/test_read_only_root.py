"""In a container without a writable /tmp or home, temporary files and results go where there is room for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from images.family import ROOT
from prefect_uv import read_only_root
from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.garbage.leftovers import remove_leftovers
from prefect_uv.log.run_log import RunLog
from prefect_uv.read_only_root import with_writable_directories
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv.start import start

READ_ONLY = "/dev/null"
"""In which not even root can create anything."""

REPLACED = """
import contextlib, json, os, sys
from prefect_uv import read_only_root
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings
read_only_root.TEMPORARY_DIRECTORIES = ()
cleanup = contextlib.ExitStack()
read_only_root.with_writable_directories(Settings.from_environ(json.loads(sys.argv[1])), RunLog(Mask()), cleanup)
os.execv(sys.executable, [sys.executable, "-c", "print('replaced', flush=True); __import__('sys').stdin.read()"])
"""
"""A start whose flow is not supervised."""

Prepare = Callable[..., Settings]


@pytest.fixture
def prepare(log: RunLog, tmp_path: Path) -> Iterator[Prepare]:
    """Gives settings writable directories, which are removed after the test."""
    with ExitStack() as cleanup:
        usual = {"HOME": str(tmp_path), "PREFECT_UV_CACHE_DIR": str(tmp_path / "cache")}
        yield lambda **variables: with_writable_directories(Settings.from_environ({**usual, **variables}), log, cleanup)


@pytest.fixture
def no_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    """/tmp and /var/tmp are read-only; Python finds no other directory for temporary files either."""
    for name in read_only_root.TEMPORARY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(read_only_root, "TEMPORARY_DIRECTORIES", (READ_ONLY,))
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [READ_ONLY])
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_usual_container_is_left_alone(prepare: Prepare, capsys: pytest.CaptureFixture[str]) -> None:
    """With /tmp and a home, no variable is added and no line is logged."""
    settings = prepare()
    assert {"TMPDIR", "PREFECT_HOME"}.isdisjoint(settings.flow_environ)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("no_tmp")
def test_temporary_files_are_on_the_volume_without_tmp(prepare: Prepare, tmp_path: Path) -> None:
    """The directory is ours alone, known to uv and the flow, and no garbage while we live."""
    settings = prepare()
    directory = Path(settings.flow_environ["TMPDIR"])
    assert settings.environ["TMPDIR"] == tempfile.gettempdir() == str(directory)
    assert directory.is_relative_to(tmp_path / "cache")
    assert directory.stat().st_mode & 0o077 == 0
    remove_leftovers(CacheDirectory(tmp_path / "cache", {os.geteuid()}, tmp_path / "cache" / "uv"))
    assert directory.is_dir()


def test_temporary_files_are_no_garbage_for_a_program_that_replaces_us(tmp_path: Path) -> None:
    """An unsupervised flow keeps the lock of the directory, and when it ends, the directory is garbage."""
    environ = {"HOME": str(tmp_path), "PREFECT_UV_CACHE_DIR": str(tmp_path / "cache")}
    cache = CacheDirectory(tmp_path / "cache", {os.geteuid()}, tmp_path / "cache" / "uv")
    command = [sys.executable, "-c", REPLACED, json.dumps(environ)]
    own = {"PYTHONPATH": str(ROOT / "entrypoint" / "src")}
    with subprocess.Popen(command, env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"replaced\n"
        remove_leftovers(cache)
        assert len(list(cache.builds.iterdir())) == 1
        process.stdin.close()
        assert process.wait(20) == 0
    remove_leftovers(cache)
    assert list(cache.builds.iterdir()) == []


@pytest.mark.usefixtures("no_tmp")
def test_temporary_files_are_removed_from_the_volume(tmp_path: Path, log: RunLog) -> None:
    """Nothing is left on the volume at the end."""
    settings = Settings.from_environ({"HOME": str(tmp_path), "PREFECT_UV_CACHE_DIR": str(tmp_path / "cache")})
    with ExitStack() as cleanup:
        with_writable_directories(settings, log, cleanup)
        Path(tempfile.mkdtemp(), "file").touch()
    assert list((tmp_path / "cache" / "envs" / "tmp").iterdir()) == []


@pytest.mark.usefixtures("no_tmp")
@pytest.mark.parametrize("cache", [{"PREFECT_UV_CACHE_READONLY": "true"}, {"PREFECT_UV_CACHE_DIR": READ_ONLY}])
def test_no_directory_for_temporary_files_is_an_error_that_names_the_mount(
    cache: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what needs one fails, and not as a bug of ours."""

    def verb(session: Session) -> int:
        with_writable_directories(session.settings, session.log, session.cleanup)
        return len(str(session.scratch()))

    assert start(verb, {"HOME": str(tmp_path), "PREFECT_UV_CACHE_DIR": str(tmp_path / "cache"), **cache}, []) == 77
    report = capsys.readouterr().err
    assert "error[temporary-directory-missing]: There is no directory for temporary files." in report
    assert "hint: Mount something writable at /tmp" in report


@pytest.mark.parametrize("home", [{"HOME": ""}, {"HOME": READ_ONLY}], ids=["none", "read-only"])
def test_prefect_has_a_home_without_one_of_the_user(
    prepare: Prepare, home: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Prefect can store results, as in a container that is writable; the user's home stays if there is one."""
    settings = prepare(**home)
    assert os.access(settings.flow_environ["PREFECT_HOME"], os.W_OK)
    assert settings.flow_environ["HOME"] == (home["HOME"] or settings.flow_environ["PREFECT_HOME"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"PREFECT_HOME": READ_ONLY}, f"{READ_ONLY}/storage"),
        ({"PREFECT_LOCAL_STORAGE_PATH": f"{READ_ONLY}/results"}, f"{READ_ONLY}/results"),
        ({"PREFECT_RESULTS_LOCAL_STORAGE_PATH": READ_ONLY, "HOME": READ_ONLY}, READ_ONLY),
    ],
)
def test_results_that_would_be_lost_are_announced(
    prepare: Prepare, variables: dict[str, str], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the place that somebody chose is not writable, one line at the start says so; not if results go elsewhere."""
    prepare(**variables)
    assert re.findall("warning: (.*) is not writable: results", capsys.readouterr().err) == [place]
    prepare(**variables, PREFECT_DEFAULT_RESULT_STORAGE_BLOCK="s3-bucket/results")
    assert capsys.readouterr().err == ""


def test_read_only_home_of_prefect_is_announced(
    prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mounted ~/.prefect with profiles stays Prefect's home, and its missing storage is announced."""
    (tmp_path / ".prefect").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path / ".prefect")
    assert "PREFECT_HOME" not in prepare().flow_environ
    assert f"{tmp_path}/.prefect/storage is not writable" in capsys.readouterr().err
