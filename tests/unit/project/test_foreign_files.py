"""Files that others wrote are read, or refused by an error that names them, whatever is in them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from prefect_uv.bake.bake_record import baked_selections
from prefect_uv.environments.build.verification import installed_versions, mismatches
from prefect_uv.environments.key.environment_contents import Contents, Package
from prefect_uv.environments.key.fingerprint_index import read_entry
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.environments.plan.pylock import Pylock
from prefect_uv.image_facts import Image
from prefect_uv.project import find_project
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project.lockfile.lock_graph import LockGraph, LockQuery
from prefect_uv.project.lockfile.lockfile_text import locked_packages, requires_python
from prefect_uv.project.selection import Selection
from prefect_uv.settings import Settings
from prefect_uv.shapes import is_text
from tests.unit.foreign import damaged, ends_in_order, fuzzed, mutated, odd_texts, variable_texts

ROOT: dict[str, Any] = {
    "project": {
        "name": "etl",
        "version": "1.0",
        "requires-python": ">=3.11",
        "dependencies": ["prefect>=3", "lib"],
        "optional-dependencies": {"charts": ["lib"]},
        "scripts": {"etl": "etl:main"},
    },
    "dependency-groups": {"ml": ["lib", {"include-group": "dev"}], "dev": []},
    "build-system": {"requires": ["hatchling"], "build-backend": "hatchling.build"},
    "tool": {
        "uv": {
            "default-groups": ["ml"],
            "package": True,
            "sources": {"lib": {"path": "lib", "editable": True}, "other": [{"index": "x"}]},
            "workspace": {"members": ["packages/*"], "exclude": ["packages/old"]},
        },
        "poetry": {"dependencies": {"lib": {"path": "lib"}, "trinket": "*"}},
        "hatch": {
            "build": {"dev-mode-dirs": ["src"], "targets": {"wheel": {"packages": ["src/etl"], "sources": {"src": ""}}}}
        },
        "setuptools": {"package-dir": {"": "src"}, "packages": {"find": {"where": ["src"]}}},
    },
}
BUILD_SETTINGS: dict[str, Any] = {
    "uv": {"build-backend": {"module-root": "src"}},
    "hatch": {
        "build": {"sources": {"src": ""}, "force-include": {"a.py": "b.py"}, "packages": ["src/etl"], "hooks": {}}
    },
    "setuptools": {"package-dir": {"etl": "src/etl"}, "packages": {"find": {"where": ["src"]}}, "cmdclass": {}},
    "flit": {"module": {"name": "etl"}},
    "pdm": {"build": {"package-dir": "src", "includes": ["src"]}, "version": {"source": "scm"}},
    "poetry": {"packages": [{"include": "etl", "from": "src"}, {"include": "etl", "to": "other"}]},
}
SETUP_PY = b"import setuptools\nsetuptools.setup(package_dir={'': 'a'})"
SETUP_CFG = b"[options]\npackages = find:\npackage_dir =\n    = src\n"
LOCK: dict[str, Any] = {
    "version": 1,
    "requires-python": ">=3.11",
    "manifest": {"members": ["etl", "lib"], "dependency-groups": {"ml": [{"name": "lib"}]}},
    "package": [
        {
            "name": "etl",
            "version": "1.0",
            "source": {"editable": "."},
            "dependencies": [{"name": "prefect"}, {"name": "lib", "extra": ["fast"]}],
            "optional-dependencies": {"charts": [{"name": "lib"}]},
            "dev-dependencies": {"ml": [{"name": "lib"}]},
        },
        {"name": "lib", "source": {"directory": "lib"}, "optional-dependencies": {"fast": [{"name": "prefect"}]}},
        {"name": "prefect", "version": "3.8.8", "source": {"registry": "https://index.invalid/simple"}},
    ],
}
SCRIPT = b"""# /// script
# requires-python = ">=3.11"
# dependencies = ["prefect==3.8.8", "lib"]
# [tool.uv.sources]
# lib = { path = "lib" }
# ///
import prefect
"""
REQUIREMENTS = b"""# comment
prefect==3.8.8 --hash=sha256:abc
-r more.txt
-c constraints.txt
-e ./lib
lib @ file:///nowhere/lib-1.0.tar.gz ; python_version > "3"
https://host.invalid/lib-1.0-py3-none-any.whl
${NAME}/lib
"""
FILES = {
    "pyproject.toml": tomli_w.dumps(ROOT).encode(),
    "uv.lock": b"",
    "pylock.toml": b"",
    "Pipfile": b'[packages]\nlib = "*"\ntrinket = {version = "*", extras = ["x"]}\n',
    "flow.py": SCRIPT,
    "requirements.txt": REQUIREMENTS,
    ".python-version": b"# pin\n3.12\n",
    ".gitmodules": b'[submodule "lib"]\n\tpath = lib\n\turl = https://host.invalid/lib.git\n',
    "uv.toml": b'index-url = "https://index.invalid"\n',
    "more.txt": b"trinket\n",
    "constraints.txt": b"trinket<2\n",
}
LIB = {"lib/pyproject.toml": b'[project]\nname = "lib"\nversion = "1"\n', "src/etl/__init__.py": b""}
KINDS = {
    "lock": {"pyproject.toml", "uv.lock"},
    "script": {"flow.py"},
    "pylock": {"pylock.toml"},
    "pipenv": {"Pipfile", "requirements.txt", "more.txt", "constraints.txt"},
    "requirements": {"requirements.txt", "more.txt", "constraints.txt"},
    "all": set(FILES) - {"flow.py"},
}
PYLOCK: dict[str, Any] = {
    "lock-version": "1.0",
    "created-by": "uv",
    "dependency-groups": ["ml"],
    "default-groups": ["default"],
    "packages": [
        {
            "name": "prefect",
            "version": "3.8.8",
            "wheels": [{"url": "https://index.invalid/prefect-3.8.8-py3-none-any.whl", "hashes": {"sha256": "ab"}}],
            "sdist": {"url": "https://index.invalid/prefect-3.8.8.tar.gz", "hashes": {"sha256": "cd"}},
        },
        {"name": "lib", "archive": {"path": "lib.zip", "hashes": {"sha256": "ef"}}},
    ],
}
DIRECTORY: dict[str, Any] = {"name": "lib", "directory": {"path": "lib", "subdirectory": "."}}
CONTENTS = Contents("0.13", "python3.11", "3.11.2", "", (), {"prefect": Package("3.8.8", "")})


def _inline(value: Any) -> str:
    """A value of TOML on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_inline(item)}" for name, item in value.items()) + " }"
    return f"[{', '.join(map(_inline, value))}]" if isinstance(value, list) else json.dumps(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else json.dumps(name)


def _as_toml(document: Any) -> bytes:
    """A document as TOML as uv writes it, a line for each field of a package; also where TOML cannot say it."""
    if not isinstance(document, dict):
        return _inline(document).encode()
    packages = document.get("package")
    lines = [f"{_key(name)} = {_inline(value)}" for name, value in document.items() if name != "package"]
    for package in packages if isinstance(packages, list) else [packages]:
        fields = package if isinstance(package, dict) else {"odd": package}
        lines += ["", "[[package]]", *(f"{_key(name)} = {_inline(value)}" for name, value in fields.items())]
    return "\n".join(lines).encode() + b"\n"


DOCUMENTS = {"pyproject.toml": ROOT, "uv.lock": LOCK, "pylock.toml": {**PYLOCK, "packages": [DIRECTORY]}}
FILES["uv.lock"] = _as_toml(LOCK)
FILES["pylock.toml"] = tomli_w.dumps(DOCUMENTS["pylock.toml"]).encode()


@fuzzed
@given(kind=st.sampled_from(sorted(KINDS)), data=st.data())
def test_any_files_of_a_project(tmp_path: Path, this_image: Image, kind: str, data: st.DataObject) -> None:
    """The project of a flow is found or refused: with either lock, without, as a script, and by requirements."""
    assert this_image
    files = {name: FILES[name] for name in KINDS[kind]}
    chosen = data.draw(st.sampled_from(sorted(files)))
    if chosen in DOCUMENTS and data.draw(st.booleans()):
        files[chosen] = _as_toml(data.draw(mutated(DOCUMENTS[chosen])))
    else:
        files[chosen] = data.draw(damaged(files[chosen]))
    checkout = tmp_path / "checkout"
    shutil.rmtree(checkout, ignore_errors=True)
    for name, content in {"flow.py": b"", **LIB, **files}.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes(content)
    settings = Settings.from_environ({"PREFECT_UV_GROUPS": data.draw(st.sampled_from(["", "ml"]))})
    with ends_in_order():
        assert find_project(checkout, "flow.py:main", settings).name


@fuzzed
@given(backend=st.sampled_from(["uv_build", "hatchling", "setuptools", "flit_core", "pdm", "poetry"]), data=st.data())
def test_any_build_settings(tmp_path: Path, backend: str, data: st.DataObject) -> None:
    """The build settings of every backend that is read here."""
    (tmp_path / "setup.py").write_bytes(data.draw(damaged(SETUP_PY)))
    (tmp_path / "setup.cfg").write_bytes(data.draw(damaged(SETUP_CFG)))
    build_system = {"build-system": {"build-backend": backend}}
    document = {"project": {"name": "etl"}, **build_system, "tool": data.draw(mutated(BUILD_SETTINGS))}
    package = LocalPackage("etl", tmp_path, installable=True, document=document)
    assert all(path.is_dir() for path in package.source_roots)
    assert isinstance(package.build_reason, str)


@fuzzed
@given(data=st.data())
def test_any_entrypoint_and_selection(tmp_path: Path, this_image: Image, data: st.DataObject) -> None:
    """An entrypoint, a project and lists of files with any text."""
    assert this_image
    for name, content in {
        "pyproject.toml": FILES["pyproject.toml"],
        "uv.lock": FILES["uv.lock"],
        "flow.py": b"",
        **LIB,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    names = [
        "PREFECT_UV_PROJECT",
        "PREFECT_UV_REQUIREMENTS",
        "PREFECT_UV_SOURCE_ROOT",
        "PREFECT_UV_PACKAGE",
        "PREFECT_UV_PYTHON",
    ]
    variables = data.draw(st.dictionaries(st.sampled_from(names), variable_texts, max_size=2))
    entrypoint = data.draw(st.one_of(st.just("flow.py:main"), odd_texts.filter(is_text)))
    with ends_in_order():
        assert find_project(tmp_path, entrypoint, Settings.from_environ(variables)).name


@fuzzed
@given(
    text=st.one_of(damaged(_as_toml(LOCK)), mutated(LOCK).map(_as_toml)).map(lambda data: data.decode(errors="replace"))
)
def test_any_lock(text: str) -> None:
    """What is read from a lock, as text and parsed to explain an error."""
    assert isinstance(requires_python(text), str)
    assert isinstance(list(locked_packages(text)), list)
    with ends_in_order():
        LockGraph(text).reached(LockQuery(("etl",), "etl", Selection(extras=("charts",)), frozenset({"ml"})))


@fuzzed
@given(data=st.one_of(damaged(tomli_w.dumps(PYLOCK).encode()), mutated(PYLOCK).map(_as_toml)))
def test_any_pylock(data: bytes, tmp_path: Path) -> None:
    """A pylock.toml that uv did not write."""
    with ends_in_order():
        assert Pylock.read(data.decode(errors="replace"), tmp_path).packages() is not None


@fuzzed
@given(
    data=damaged(
        b"prefect/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\nprefect-3.8.8.dist-info/RECORD,,\n"
    )
)
def test_any_record(tmp_path: Path, data: bytes) -> None:
    """RECORD files of packages that somebody built by hand."""
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("prefect", "prefect-3.8.8.dist-info"):
        (site / name).mkdir(parents=True, exist_ok=True)
    (site / "prefect" / "__init__.py").touch()
    (site / "prefect-3.8.8.dist-info" / "METADATA").write_text("Name: prefect\nVersion: 3.8.8\n")
    (site / "prefect-3.8.8.dist-info" / "RECORD").write_bytes(data)
    with ends_in_order():
        assert installed_versions(tmp_path) is not None
        assert mismatches(tmp_path, CONTENTS) is not None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'"x"', b"1e999", b'{"contents": []}', b"\xff", b"[" * 100_000])
def test_any_file_of_ours(tmp_path: Path, content: bytes) -> None:
    """Our own files on a volume or in an image, which others can write."""
    for name in ("prefect-uv.json", "index"):
        (tmp_path / name).write_bytes(content)
    assert Manifest.read(tmp_path) is None
    assert read_entry(tmp_path / "index") is None
    assert baked_selections(tmp_path) is not None
