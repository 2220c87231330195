"""What the run's state says if a package is not built or an index refuses, with a real uv."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.uv.debian_packages import missing_library, missing_tool
from prefect_uv.environments.uv.named_failures import named_failure
from prefect_uv.errors import IndexUnauthorizedError, PackageBuildError, PrefectUvError
from prefect_uv.processes.subprocesses import CompletedCommand
from tests.unit.etl import WHEEL, Etl, sync, unlocked
from tests.unit.http_server import Answer, Server

PYPROJECT = """[project]
name = "clib"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
WHEEL_HINT = "; or depend on a version that has a wheel."
CREDENTIALS_HINT = (
    "hint: Set its credentials, such as UV_INDEX_NAME_USERNAME and UV_INDEX_NAME_PASSWORD, or correct them; they need"
    " access to this package."
)


def add_sdist(etl: Etl, output: str) -> None:
    """Make the project depend on a package without a wheel whose build prints this and fails."""
    body = f"print('Connection timed out, 404 Not Found')\n    sys.exit({output!r})"
    backend = f"import sys\ndef build_wheel(*_):\n    {body}\n"
    with tarfile.open(etl.wheels / "clib-1.0.tar.gz", "w:gz") as archive:
        for name, text in (("pyproject.toml", PYPROJECT), ("backend.py", backend), ("PKG-INFO", "")):
            entry = tarfile.TarInfo(f"clib-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    etl.write("prefect", "clib")
    etl.lock()


@pytest.mark.parametrize(
    ("output", "summary"),
    [
        (
            "Error: pg_config executable not found.\n" + "and many more words\n" * 30,
            (
                "clib==1.0 could not be built from source: pg_config is missing. hint: Build an image FROM this"
                f" one with `apt-get install libpq-dev gcc libc6-dev python3-dev`{WHEEL_HINT}"
            ),
        ),
        (
            "nothing that we know\nValueError: no",
            (
                "clib==1.0 could not be built from source: the build's last line is: ValueError: no hint: Depend on a"
                " version that has a wheel for this Python, or fix what the build's output names."
            ),
        ),
    ],
    ids=["missing tool", "unknown"],
)
def test_package_that_is_not_built(
    etl: Etl, make_store: Callable[..., EnvironmentStore], output: str, summary: str
) -> None:
    """The state has the package, the missing tool and Debian's packages, whatever else the build has printed."""
    add_sdist(etl, output)
    with pytest.raises(PackageBuildError) as caught:
        sync(make_store(), etl)
    assert caught.value.summary() == f"error[package-build-failed]: {summary}"


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_index_that_refuses(etl: Etl, make_store: Callable[..., EnvironmentStore], server: Server, status: str) -> None:
    """The state has the index and the status, without credentials, for locked packages and for others."""
    etl.move_to(server)
    refusal = Answer(int(status[:3]))
    for path in ("prefect/", f"prefect/{WHEEL}"):
        server.on(f"GET /api/{path}", refusal)
    with pytest.raises(IndexUnauthorizedError) as caught:
        sync(make_store(), etl)
    expected = f"error[index-unauthorized]: The package index answered {status} for"
    assert caught.value.summary() == f"{expected} {server.url}/prefect/{WHEEL}. {CREDENTIALS_HINT}"
    address = server.url.replace("//", "//bot:hush-hush@")
    store = make_store(UV_DEFAULT_INDEX=address)
    with pytest.raises(PrefectUvError) as caught_too:
        store.environment(unlocked("prefect"))
    assert caught_too.value.summary() == f"{expected} {server.url}. {CREDENTIALS_HINT}"


@pytest.mark.parametrize(
    ("output", "name", "packages"),
    [
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "gcc", "gcc libc6-dev python3-dev"),
        ("unable to execute 'gcc': No such file or directory", "gcc", "gcc libc6-dev python3-dev"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/usr/bin/cmake'", "cmake", "cmake make g++ "),
        ("/bin/sh: 1: mysql_config: not found", "mysql_config", "default-libmysqlclient-dev "),
        ("OSError: mysql_config not found", "mysql_config", "default-libmysqlclient-dev "),
        ("Exception: Can not find valid pkg-config name.\nSpecify MYSQLCLIENT_CFLAGS", "MySQL's client", "default-"),
        ("Cargo, the Rust package manager, is not installed or is not on PATH.", "Rust", "cargo "),
        ("error: can't find Rust compiler", "Rust", "cargo "),
        ("Downloading rustup-init from https://rust.invalid\nhttpx.ConnectError: [Errno -2] Name or", "Rust", "cargo "),
        ("../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang']]", "a compiler", "g++ "),
        ("CMake Error: CMAKE_CXX_COMPILER not set, after EnableLanguage", "a compiler", "g++ "),
        ("src/x.c:1:10: fatal error: Python.h: No such file or directory", "Python.h", "python3-dev"),
        (
            "a.c:3:10: fatal error: libxml/xmlversion.h: No such file or directory",
            "libxml/xmlversion.h",
            "libxml2-dev ",
        ),
        ("a.c:3:10: fatal error: frob.h: No such file or directory", "frob.h", ""),
        ("ImportError: libGL.so.1: cannot open shared object file: No such file or directory", "libGL.so.1", "libgl1"),
        ("OSError: libfrob.so.3: cannot open shared object file: No such file", "libfrob.so.3", ""),
    ],
)
def test_what_a_build_lacks(output: str, name: str, packages: str) -> None:
    """The words with which common builds fail name what is missing."""
    tool = missing_tool(f"running build_ext\n{output}\nThe end")
    assert tool is not None
    assert tool.name.startswith(name)
    assert tool.packages.startswith(packages)
    assert (packages or f"package that has {name} (https://packages.debian.org)") in tool.remedy


@pytest.mark.parametrize(
    "output",
    [
        "checking for gcc... gcc",
        "could not find a way to make it work",
        "No such file or directory: 'make/x'",
        "ModuleNotFoundError: No module named 'numpy'",
        "",
    ],
)
def test_build_that_lacks_nothing_known(output: str) -> None:
    """Words that merely occur name nothing."""
    assert missing_tool(output) is None
    assert missing_library(output) is None


def test_build_without_any_output() -> None:
    """A backend that says nothing is an error of the catalogue, too."""
    stderr = "error: Failed to build `etl`\n  cause: The build backend returned an error"
    error = named_failure(CompletedCommand("uv sync", 1, "", stderr))
    assert isinstance(error, PackageBuildError)
    assert error.headline.startswith("etl could not be built from source")
