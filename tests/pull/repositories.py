"""Repositories with everything that a checkout may contain."""

from __future__ import annotations

from pathlib import Path

from tests.unit.conftest import Origin


def rich(root: Path) -> Origin:
    """Nested folders, symlinks, an executable, a binary, odd names, line endings, a tag, and branches."""
    origin = Origin(root / "flows")
    work = origin.path
    (work / "etl" / "deep").mkdir(parents=True)
    (work / "other").mkdir()
    (work / "etl" / "deep" / "flow.py").write_text("first")
    (work / "other" / "data.bin").write_bytes(bytes(range(256)) * 64)
    (work / "other" / "ünïcödé ✓.txt").write_text("non-ASCII name")
    (work / "etl" / "with space").write_text("x")
    (work / "run.sh").write_text("#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    (work / "link").symlink_to("etl/deep/flow.py")
    (work / "dangling").symlink_to("nowhere")
    (work / ".gitattributes").write_text("*.crlf text eol=crlf\n")
    (work / "lines.crlf").write_text("a\nb\n")
    origin.commit("flow.py", "first")
    origin.git("tag", "--annotate", "--message", "one", "v1")
    origin.git("switch", "--quiet", "--create", "feature/ünï")
    origin.commit("flow.py", "on the branch")
    origin.git("switch", "--quiet", "--orphan", "empty")
    origin.git("commit", "--quiet", "--allow-empty", "--message", "nothing")
    origin.git("switch", "--quiet", "main")
    origin.commit("flow.py", "second")
    return origin


def package(root: Path) -> Origin:
    """A package `dep` to depend on; its build backend is part of uv."""
    origin = Origin(root / "dep")
    (origin.path / "src" / "dep").mkdir(parents=True)
    (origin.path / "src" / "dep" / "__init__.py").touch()
    build = '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
    origin.commit("pyproject.toml", f'{build}[project]\nname = "dep"\nversion = "1.0"\n')
    return origin


def with_submodule(origin: Origin, name: str, url: str) -> None:
    """Add a submodule whose address in .gitmodules is `url`; its content is a new repository next to `origin`."""
    source = Origin(origin.path.parent / name)
    source.commit("inner.txt", "of the submodule")
    origin.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", source.url, name)
    modules = origin.path / ".gitmodules"
    modules.write_text(modules.read_text().replace(source.url, url))
    origin.git("add", "--all")
    origin.git("commit", "--quiet", "--message", "submodule")


ALLOW_FILE = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}
"""Lets git clone submodules from file:// addresses."""
