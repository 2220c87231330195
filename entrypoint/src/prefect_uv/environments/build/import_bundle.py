"""The import bundle of an environment: the bytecode of its modules in one file, from which engines import (ADR 36).

<environment>/imports-v1: the code of all modules, one after another, the index, and the length of the index (8 bytes).

The index is a dict in marshal's format: `magic` of the bytecode, `installed`, the names of the .dist-info directories,
`size` of the code, and `modules`: for each directory the names of its modules, with whether it is a package, where its
code begins, and how long it is. The reader is `engine/start_up/_bundled_imports.py`.

What runs have compiled is bundled, if it is what Python would use: bytecode that fits its source, of the file that an
import of that name would find.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

from prefect_uv.cache_volume.cache_directory import IMPORT_BUNDLE, CacheDirectory
from prefect_uv.environments.build.bytecode_cache import cache_tag
from prefect_uv.environments.build.verification import site_packages
from prefect_uv.processes.subprocesses import run_command
from prefect_uv.settings.tool_variables import variables_for_builds

HEADER_BYTES = 16
LIST_IMPORTED = r"""
import sys
import prefect.main, prefect.flow_engine
print(*{module.__spec__.cached for module in sys.modules.values() if getattr(module, "__spec__", None)}, sep="\n")
"""
LARGEST_BUNDLE = 64 * 1024 * 1024
MARSHAL_VERSION = 2  # every Python 3 reads it
ENGINE_MODULE = ("prefect", "flow_engine")
"""What every engine imports last (Prefect 3.0.11 to 3.9.1): without its bytecode, much of the rest is missing, too."""


@dataclass(frozen=True)
class BundledModule:
    """A module whose bytecode can be used as it is.

    Attributes:
        directory: its directory, relative to site-packages; empty for site-packages itself.
        name: its name there.
        is_package: it is the `__init__.py` of a directory with this name.
        bytecode: its .pyc file.
    """

    directory: str
    name: str
    is_package: bool
    bytecode: bytes


def bundle_baked_imports(environment: Path, cache: CacheDirectory, environ: Mapping[str, str]) -> None:
    """Write the bundle of an environment in an image, whose modules are all compiled: of those that an engine imports.

    Nothing is written if Prefect cannot be imported. Prefect creates its home if there is none, so it gets one here.
    """
    command = [str(environment / "bin" / "python"), "-I", "-c", LIST_IMPORTED]
    with tempfile.TemporaryDirectory(prefix="prefect-uv-home-") as home:
        listed = run_command(command, env={**variables_for_builds(environ), "HOME": home, "PREFECT_HOME": home})
    if listed.exit_code == 0:
        write_import_bundle(environment, cache, only=frozenset(listed.stdout.splitlines()))


def write_import_bundle(environment: Path, cache: CacheDirectory, only: Container[str] | None = None) -> None:
    """Write the bundle of an environment; it replaces an older one atomically, for engines that use that one, too.

    Nothing is written as long as there is no bytecode of an engine: neither of one that has run in the environment, nor
    of one that has left it to the environment that this one was built from.

    Args:
        environment: its directory.
        cache: the cache directory that it is in.
        only: the bytecode files to bundle; None for all.
    """
    site = site_packages(environment)
    package, engine = ENGINE_MODULE
    if not (site / package / "__pycache__" / f"{engine}.{cache_tag(site)}.pyc").exists():
        return
    temporary = cache.builds / f"write-{uuid4().hex}"
    try:
        with temporary.open("xb") as file:
            installed = sorted(path.name for path in site.glob("*.dist-info"))
            index = _write_modules(file, _modules(str(site), only), installed)
            file.write(index + len(index).to_bytes(8, "little"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(environment / IMPORT_BUNDLE)
    finally:
        temporary.unlink(missing_ok=True)


def _write_modules(file: IO[bytes], modules: Iterable[BundledModule], installed: Sequence[str]) -> bytes:
    """Write the code of modules, and return the index."""
    found: dict[str, dict[str, tuple[bool, int, int]]] = {}
    size, magic = 0, b""
    for module in modules:
        magic = magic or module.bytecode[:4]
        code = module.bytecode[HEADER_BYTES:]
        if module.bytecode[:4] == magic and size + len(code) <= LARGEST_BUNDLE:
            found.setdefault(module.directory, {})[module.name] = (module.is_package, size, len(code))
            file.write(code)
            size += len(code)
    facts = {"magic": magic, "installed": installed, "size": size, "modules": found}
    return marshal.dumps(facts, MARSHAL_VERSION)


def _modules(site: str, only: Container[str] | None) -> Iterator[BundledModule]:
    """The modules below site-packages of which there is bytecode, sorted; strings, as in hard_links."""
    suffix = f".{cache_tag(Path(site))}.pyc"
    for directory, folders, files in os.walk(site):
        folders.sort()
        if "__pycache__" not in folders:
            continue
        folders.remove("__pycache__")
        relative = directory.removeprefix(site).removeprefix("/")
        for compiled in sorted(os.listdir(f"{directory}/__pycache__")):  # noqa: PTH208
            name = compiled.removesuffix(suffix)
            if name == compiled or f"{name}.py" not in files or _is_hidden(name, directory, folders, files):
                continue
            path = f"{directory}/__pycache__/{compiled}"
            bytecode = _usable_bytecode(path, f"{directory}/{name}.py") if only is None or path in only else b""
            if len(bytecode) <= HEADER_BYTES:
                continue
            if name != "__init__":
                yield BundledModule(relative, name, is_package=False, bytecode=bytecode)
            elif relative:
                parent, _, own = relative.rpartition("/")
                yield BundledModule(parent, own, is_package=True, bytecode=bytecode)


def _is_hidden(name: str, directory: str, folders: Collection[str], files: Collection[str]) -> bool:
    """Whether an import of this name finds an extension module or a package instead of the source file.

    `FileFinder.find_spec` of https://github.com/python/cpython/blob/3.13/Lib/importlib/_bootstrap_external.py
    """
    if any(file.startswith(f"{name}.") and file.endswith(".so") for file in files):
        return True
    return name in folders and any(file.startswith("__init__.") for file in os.listdir(f"{directory}/{name}"))  # noqa: PTH208


def _usable_bytecode(compiled: str, source: str) -> bytes:
    """A .pyc file that Python would use for its source; empty otherwise.

    https://peps.python.org/pep-0552/
    """
    with suppress(OSError):
        bytecode = Path(compiled).read_bytes()
        kind = int.from_bytes(bytecode[4:8], "little")
        if kind == 1:  # not compared with the source
            return bytecode
        status = os.stat(source)  # noqa: PTH116
        expected = [int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF]
        if kind == 0 and expected == [int.from_bytes(bytecode[start : start + 4], "little") for start in (8, 12)]:
            return bytecode
    return b""
