"""The import bundle of an environment: the bytecode of its modules in one file, from which engines import (ADR 36).

<environment>/imports-v1: the length of the head (8 bytes), the head, and the code of all modules, one after another.

The head is a dict in marshal's format: `magic` of the bytecode, `changed`, the time at which site-packages changed last
(nanoseconds; 0 in an image, where nothing changes), `size` of the code, and `modules`: for each directory the names of
its modules, with whether it is a package, where its code begins, and how long it is. The reader is
`engine/start_up/_bundled_imports.py`.

What runs have compiled is bundled, if it is what Python would use: bytecode that fits its source, of the file that an
import of that name would find.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Collection, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.build.bytecode_cache import cache_tag
from prefect_uv.environments.build.verification import site_packages
from prefect_uv.processes.subprocesses import run_command
from prefect_uv.settings.tool_variables import variables_for_builds

IMPORT_BUNDLE = "imports-v1"
HEADER_BYTES = 16
LIST_IMPORTED = r"""
import sys
import prefect.main, prefect.flow_engine
print(*{module.__spec__.cached for module in sys.modules.values() if getattr(module, "__spec__", None)}, sep="\n")
"""
MARSHAL_VERSION = 2  # every Python 3 reads it


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

    Nothing is written if Prefect cannot be imported.
    """
    command = [str(environment / "bin" / "python"), "-I", "-c", LIST_IMPORTED]
    listed = run_command(command, env=variables_for_builds(environ))
    if listed.exit_code == 0:
        write_import_bundle(environment, cache, only=frozenset(listed.stdout.splitlines()))


def write_import_bundle(environment: Path, cache: CacheDirectory, only: Container[str] | None = None) -> None:
    """Write the bundle of an environment; it replaces an older one atomically, for engines that use that one, too.

    Args:
        environment: its directory.
        cache: the cache directory that it is in.
        only: the bytecode files to bundle, in an image where nothing changes any more. None for all, in an environment
            on a volume: the bundle then counts only as long as no package is added to it or removed.
    """
    site = site_packages(environment)
    changed = 0 if only is not None else site.stat().st_mtime_ns
    index: dict[str, dict[str, tuple[bool, int, int]]] = {}
    codes: list[bytes] = []
    size, magic = 0, b""
    for module in _modules(str(site), only):
        magic = magic or module.bytecode[:4]
        if module.bytecode[:4] == magic:
            code = module.bytecode[HEADER_BYTES:]
            index.setdefault(module.directory, {})[module.name] = (module.is_package, size, len(code))
            codes.append(code)
            size += len(code)
    head = marshal.dumps({"magic": magic, "changed": changed, "size": size, "modules": index}, MARSHAL_VERSION)
    start = len(head).to_bytes(8, "little") + head
    if _begins_with(environment / IMPORT_BUNDLE, start):
        return
    temporary = cache.builds / f"write-{uuid4().hex}"
    try:
        with temporary.open("xb") as file:
            file.writelines([start, *codes])
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(environment / IMPORT_BUNDLE)
    finally:
        temporary.unlink(missing_ok=True)


def _begins_with(path: Path, start: bytes) -> bool:
    """Whether a file exists and begins with these bytes."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(start)) == start
    return False


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
            if not bytecode:
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
