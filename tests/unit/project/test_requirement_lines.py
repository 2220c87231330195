"""Parse the lines of requirements files as uv does."""

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
    """The normalized name, the version if there is exactly one, and whether uv has a choice."""
    (requirement,) = parse_requirements(line)
    assert (requirement.name, requirement.version, requirement.exact) == (name, version, exact)


def test_hashes() -> None:
    """Hashes are sorted, in both forms of the option."""
    (requirement,) = parse_requirements("a==1.0 --hash=sha256:b --hash sha256:a")
    assert requirement.hashes == ("sha256:a", "sha256:b")


@pytest.mark.parametrize("line", ["", "# a", "-i https://index.example", "--no-binary a", "-r more.txt"])
def test_no_requirement(line: str) -> None:
    """Comments and options are not requirements."""
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
        ("${DIRECTORY}/lib", "/vendor/lib"),
        ("${NOT_SET}/lib", "${NOT_SET}/lib"),
        ("lib", ""),
        ("lib==1.0 ; os_name == 'a/b'", ""),
        ("https://host.example/lib.zip", ""),
        ("lib @ git+file:///lib@main", ""),
    ],
)
def test_path(line: str, path: str) -> None:
    """The path of a local file or directory is read as by uv 0.13.8."""
    (statement,) = parse_statements(line, {"DIRECTORY": "/vendor"})
    assert statement.path == path


@pytest.mark.parametrize(
    ("line", "path", "constraint"),
    [
        ("-r b.txt", "b.txt", False),
        ("-r\tb.txt#why", "b.txt", False),
        ("-r 'my b.txt'  # see https://wiki.example", "my b.txt", False),
        ("-r my b.txt", "my b.txt", False),
        ("--requirement=${DIRECTORY}/b.txt", "/vendor/b.txt", False),
        ("-r file:///code/b.txt", "/code/b.txt", False),
        ("-c b.txt", "b.txt", True),
        ("-r https://host.example/b.txt", "", False),
    ],
)
def test_include(line: str, path: str, *, constraint: bool) -> None:
    """The path of an included file is read as by uv 0.13.8."""
    (statement,) = parse_statements(line, {"DIRECTORY": "/vendor"})
    assert isinstance(statement, Include)
    assert (statement.path, statement.is_constraint) == (path, constraint)


@pytest.mark.parametrize("line", ["-rb.txt", "--requirements=b.txt", "'quoted'", "[project]"])
def test_line_that_uv_refuses_is_skipped(line: str) -> None:
    """Lines that uv 0.13.8 refuses are left to it."""
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
    "lib @ file://${DIRECTORY}/lib",
    "${DIRECTORY}/lib",
    "bauble-1.0-py3-none-any.whl",
    "-r b.txt",
    "-rb.txt",
    "-r\tb.txt",
    "-r 'my b.txt'",
    "-r my b.txt",
    "-r more/more.txt",
    "--requirement=${DIRECTORY}/b.txt",
    "--requirements=b.txt",
    "-r file://${DIRECTORY}/b.txt",
    "-c c.txt",
    "--pre",
    "trinket 1.0",
)
ENDS = ("", " # why", "#why", " ; sys_platform == 'linux'", " \\\n  --hash=sha256:aa")


@pytest.fixture
def installables(tmp_path: Path, wheels: Path) -> Path:
    """A directory with source code, a wheel and requirements files."""
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
    """A line that uv accepts has the same packages and directories for us, with each possible end."""
    environ = {**os.environ, "DIRECTORY": str(installables)}
    file = installables / "requirements.txt"
    options = ("--no-deps", "--format", "pylock.toml", "--preview-features", "pylock", "--python", sys.executable)
    index = ("--no-index", "--find-links", str(wheels))
    for end in ENDS:
        file.write_text(f"{line}{end}\n")
        command = ["uv", "pip", "compile", "--quiet", *options, *index, file.name]
        result = subprocess.run(
            command, cwd=installables, env=environ, check=False, capture_output=True, text=True, timeout=20
        )
        if result.returncode == 0:
            packages = tomllib.loads(result.stdout).get("packages", [])
            installed = {installables / entry["directory"]["path"] for entry in packages if "directory" in entry}
            requirements = Requirements.read(installables, [file], environ)
            directories = {path for path in requirements.local_paths if path.is_dir()}
            from_index = (
                item for item in requirements.requirements if (installables / item.path).resolve() not in directories
            )
            names = {item.name for item in from_index}
            assert directories == {path.resolve() for path in installed}, end
            assert names | {"lib" for _ in directories} == {entry["name"] for entry in packages}, end


def test_continued_lines() -> None:
    """A backslash continues a line, but not a comment."""
    text = "# one \\\na==1.0 \\\n  --hash=sha256:aa\nb # two\n"
    assert [(item.name, item.hashes) for item in parse_requirements(text)] == [("a", ("sha256:aa",)), ("b", ())]


def test_included_files(tmp_path: Path) -> None:
    """Included requirements are read, constraints are not; all files are inputs, and a cycle ends."""
    (tmp_path / "more").mkdir()
    (tmp_path / "a.txt").write_text("a\n-r more/b.txt\n")
    (tmp_path / "more" / "b.txt").write_text("b\n--requirement=c.txt\n-c d.txt\n")
    (tmp_path / "more" / "c.txt").write_text("c\n-r ../a.txt\n")
    (tmp_path / "more" / "d.txt").write_text("d==1\n")
    requirements = Requirements.read(tmp_path, [tmp_path / "a.txt"], {}, ["x"])
    assert [item.name for item in requirements.requirements] == ["x", "a", "b", "c"]
    assert [name for name, _ in requirements.inputs] == ["/a.txt", "/more/b.txt", "/more/c.txt", "/more/d.txt"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings(tmp_path: Path, encoding: str, end: str) -> None:
    """The encodings of uv 0.13.8 are read; PowerShell's `>` writes UTF-16."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    file = tmp_path / "requirements.txt"
    file.write_bytes(f"{mark}prefect==3.8.1{end}helper{end}".encode(encoding))
    requirements = Requirements.read(tmp_path, [file], {}).requirements
    assert [(item.name, item.version) for item in requirements] == [("prefect", "3.8.1"), ("helper", "")]


def test_pinned_packages_of_a_script(tmp_path: Path) -> None:
    """A package with one version is pinned, unless it has a source, which may be a branch."""
    path = tmp_path / "flow.py"
    sources = "# [tool.uv.sources]\n# c = { git = 'https://host.example/c', branch = 'main' }\n"
    path.write_text(f'# /// script\n# dependencies = ["a==1", "b", "c==1"]\n{sources}# ///\nimport a\n', "utf-8-sig")
    script = Script.read(path)
    assert script
    assert script.pinned == {"a"}
