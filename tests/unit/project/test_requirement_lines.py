"""Requirements as pip writes them and uv exports them: what is in a line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.files.requirement_lines import Include, parse_requirements, parse_statements
from prefect_uv.project.files.requirements_files import Requirements

HASH = "sha256:aa"
COMMIT = "0123456789" * 4


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
        (f"a @ git+https://host.example/a@{COMMIT}", "a", "", True),
        (f"a @ git+https://host.example/a@{COMMIT}#subdirectory=x", "a", "", True),
        ("a @ git+https://host.example/a@c0ffee", "a", "", False),
        ("a @ git+https://host.example/a ; python_version > '3'", "a", "", False),
        ("a@https://host.example/a-1.0-py3-none-any.whl", "a", "", True),
        ("git+https://host.example/team/my-tools.git@feature/x", "my-tools", "", False),
        ("https://host.example/acme_tools-1.0-py3-none-any.whl", "acme-tools", "", True),
        ("./vendor/acme_tools-1.0-py3-none-any.whl --hash=sha256:aa", "acme-tools", "", True),
        ("acme_tools-1.0.tar.gz", "acme-tools", "", True),
    ],
)
def test_requirement(line: str, name: str, version: str, *, exact: bool) -> None:
    """Its name as uv writes it, its version where there is one, and whether anything is left to choose."""
    (found,) = parse_requirements(line)
    assert (found.name, found.version, found.exact) == (name, version, exact)


def test_hashes() -> None:
    """In any order."""
    (found,) = parse_requirements("a==1.0 --hash=sha256:b --hash sha256:a")
    assert found.hashes == ("sha256:a", "sha256:b")


@pytest.mark.parametrize("line", ["", "# a", "-i https://index.example", "--no-binary a", "-r more.txt"])
def test_no_requirement(line: str) -> None:
    """Comments and options."""
    assert parse_requirements(line) == []


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("./lib", "./lib"),
        ("./my%20lib", "./my%20lib"),
        ("./my lib[x] ; python_version > '3'", "./my lib"),
        ("lib/", "lib/"),
        ("libs/lib # why", "libs/lib"),
        ("-e lib", "lib"),
        ("--editable=./lib[x]", "./lib"),
        ("lib @ ./lib", "./lib"),
        ("lib@file:lib#subdirectory=x", "lib"),
        ("lib @ file:///libs/my%20lib", "/libs/my lib"),
        ("file://localhost/libs/lib", "/libs/lib"),
        ("./a-1.0-py3-none-any.whl --hash=sha256:aa", "./a-1.0-py3-none-any.whl"),
        ("${PLACE}/lib", "/vendor/lib"),
        ("${NOT_SET}/lib", "${NOT_SET}/lib"),
        ("lib", ""),
        ("lib==1.0 ; os_name == 'a/b'", ""),
        ("https://host.example/lib.zip", ""),
        ("lib @ git+file:///lib@main", ""),
    ],
)
def test_path(line: str, path: str) -> None:
    """A file or directory on this machine, as uv 0.13.8 finds it."""
    (found,) = parse_statements(line, {"PLACE": "/vendor"})
    assert found.path == path


@pytest.mark.parametrize(
    ("line", "path", "constraint"),
    [
        ("-r b.txt", "b.txt", False),
        ("-r\tb.txt#why", "b.txt", False),
        ("-r 'my b.txt'  # see https://wiki.example", "my b.txt", False),
        ("-r my b.txt", "my b.txt", False),
        ("--requirement=${PLACE}/b.txt", "/vendor/b.txt", False),
        ("-r file:///code/b.txt", "/code/b.txt", False),
        ("-c b.txt", "b.txt", True),
        ("-r https://host.example/b.txt", "", False),
    ],
)
def test_include(line: str, path: str, *, constraint: bool) -> None:
    """Another file, as uv 0.13.8 finds it."""
    (found,) = parse_statements(line, {"PLACE": "/vendor"})
    assert isinstance(found, Include)
    assert (found.path, found.is_constraint) == (path, constraint)


@pytest.mark.parametrize("line", ["-rb.txt", "--requirements=b.txt", "'quoted'", "[project]"])
def test_what_uv_refuses_is_nothing(line: str) -> None:
    """uv 0.13.8 says what is wrong with it."""
    assert [*parse_statements(line, {})] == []


LINES = (
    "prefect",
    "Prefect[aws]>=3",
    "prefect (>=3)",
    "lib/",
    "libs/lib",
    "-e lib",
    "--editable=./lib[x]",
    "lib@./lib",
    "lib @ file:./my%20lib",
    "./my lib",
    "./my%20lib",
    "file:lib",
    "FILE:lib",
    "lib @ file://${PLACE}/lib",
    "${PLACE}/lib",
    "bauble-1.0-py3-none-any.whl",
    "-r b.txt",
    "-rb.txt",
    "-r\tb.txt",
    "-r 'my b.txt'",
    "-r my b.txt",
    "-r more/more.txt",
    "--requirement=${PLACE}/b.txt",
    "--requirements=b.txt",
    "-r file://${PLACE}/b.txt",
    "-c c.txt",
    "--pre",
    "trinket 1.0",
)
ENDS = ("", " # why", "#why", " ; sys_platform == 'linux'", " \\\n  --hash=sha256:aa")


@pytest.fixture
def installables(tmp_path: Path, wheels: Path) -> Path:
    """A directory with source code, a wheel and other requirements files."""
    for name in ("lib", "my lib", "libs/lib", "more/lib"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    files = {"b.txt": "trinket", "my b.txt": "bauble", "c.txt": "trinket<2", "more/more.txt": "-r x.txt\n./lib"}
    for name, content in {**files, "more/x.txt": "-r ../b.txt"}.items():
        (tmp_path / name).write_text(f"{content}\n")
    shutil.copy(wheels / "bauble-1.0-py3-none-any.whl", tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_uv_reads_the_same(installables: Path, wheels: Path, line: str) -> None:
    """What uv accepts, we take for the same packages and the same directories, whatever stands behind it."""
    environ = {**os.environ, "PLACE": str(installables)}
    file = installables / "requirements.txt"
    form = ("--no-deps", "--format", "pylock.toml", "--preview-features", "pylock", "--python", sys.executable)
    index = ("--no-index", "--find-links", str(wheels))
    for end in ENDS:
        file.write_text(f"{line}{end}\n")
        command = ["uv", "pip", "compile", "--quiet", *form, *index, file.name]
        told = subprocess.run(
            command, cwd=installables, env=environ, check=False, capture_output=True, text=True, timeout=20
        )
        if told.returncode == 0:
            packages = tomllib.loads(told.stdout).get("packages", [])
            places = {installables / entry["directory"]["path"] for entry in packages if "directory" in entry}
            found = Requirements.read(installables, [file], environ)
            directories = {place for place in found.local_paths if place.is_dir()}
            names = {one.name for one in found.requirements if (installables / one.path).resolve() not in directories}
            assert directories == {place.resolve() for place in places}, end
            assert names | {"lib" for _ in directories} == {entry["name"] for entry in packages}, end


def test_lines() -> None:
    """A comment ends with its line; a backslash before the end of another goes on."""
    text = "# one \\\na==1.0 \\\n  --hash=sha256:aa\nb # two\n"
    assert [(item.name, item.hashes) for item in parse_requirements(text)] == [("a", ("sha256:aa",)), ("b", ())]


def test_included_files(tmp_path: Path) -> None:
    """Their requirements count, those of constraints do not; all of them are inputs, also in a circle."""
    (tmp_path / "more").mkdir()
    (tmp_path / "a.txt").write_text("a\n-r more/b.txt\n")
    (tmp_path / "more" / "b.txt").write_text("b\n--requirement=c.txt\n-c d.txt\n")
    (tmp_path / "more" / "c.txt").write_text("c\n-r ../a.txt\n")
    (tmp_path / "more" / "d.txt").write_text("d==1\n")
    found = Requirements.read(tmp_path, [tmp_path / "a.txt"], {}, ["x"])
    assert [item.name for item in found.requirements] == ["x", "a", "b", "c"]
    assert [name for name, _ in found.inputs] == ["/a.txt", "/more/b.txt", "/more/c.txt", "/more/d.txt"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings(tmp_path: Path, encoding: str, end: str) -> None:
    """Those in which uv 0.13.8 reads such a file; PowerShell's `>` writes UTF-16."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    file = tmp_path / "requirements.txt"
    file.write_bytes(f"{mark}prefect==3.8.1{end}helper{end}".encode(encoding))
    found = Requirements.read(tmp_path, [file], {})
    assert [(item.name, item.version) for item in found.requirements] == [("prefect", "3.8.1"), ("helper", "")]


def test_script(tmp_path: Path) -> None:
    """Its own lines say one version; what has a source may be a branch."""
    path = tmp_path / "flow.py"
    sources = "# [tool.uv.sources]\n# c = { git = 'https://host.example/c', branch = 'main' }\n"
    path.write_text(f'# /// script\n# dependencies = ["a==1", "b", "c==1"]\n{sources}# ///\nimport a\n', "utf-8-sig")
    script = Script.read(path)
    assert script
    assert script.pinned == {"a"}
