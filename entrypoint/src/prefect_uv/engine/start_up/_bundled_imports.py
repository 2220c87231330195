"""Imports modules of the environment from its import bundle; run by the environment's Python before it imports Prefect.

To import Prefect, Python looks for 840 files of the environment, and opens and reads each of them. In the bundle, the
bytecode of all of them is one file with an index (ADR 36).

The finder here stands in front of Python's own for the directories of site-packages only, so that the order of
`sys.path` decides as ever. A module that the bundle has gets the spec that Python's own finder would make, and its code
from the bundle, once: whatever asks again, such as `importlib.reload`, reads the source. Everything else is left to
Python's own finder.
https://docs.python.org/3/reference/import.html#path-entry-finders
"""

import _imp
import marshal
import os
import sys
from contextlib import suppress
from importlib import machinery
from importlib.util import MAGIC_NUMBER, spec_from_file_location
from types import CodeType, ModuleType

TYPE_CHECKING = False  # neither `typing` nor `__future__` is imported: a project may have a module of that name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LENGTH_BYTES = 8
# Linux reads no more for one advice: https://github.com/torvalds/linux/blob/v6.12/mm/readahead.c (force_page_cache_ra)
ADVICE_BYTES = 128 * 1024
MOST_KEPT_BYTES = 4 * 1024 * 1024
DISTRIBUTION = ".dist-info"
UNUSABLE = (OSError, ValueError, EOFError, TypeError, KeyError)
# `_get_supported_file_loaders` of https://github.com/python/cpython/blob/3.13/Lib/importlib/_bootstrap_external.py
LOADERS: "tuple[tuple[Any, list[str]], ...]" = (
    (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
    (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
    (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
)


class ImportBundle:
    """A bundle that this Python can use.

    Attributes:
        modules: for each directory below site-packages, its modules by name: whether it is a package, where its code
            begins, and how long it is (bytes).
        site_packages: the environment's directory of packages, as it stands in `sys.path`.
    """

    def __init__(self, path: str) -> None:
        """Open a bundle.

        Raises:
            OSError, ValueError, EOFError, TypeError, KeyError: there is none, or none that this Python can use.
        """
        self._path = path
        self._kept: dict[int, bytes] = {}
        self._descriptor: int | None = os.open(path, os.O_RDONLY)
        try:
            self._read_index(self._descriptor)
            for start in range(0, self._identity[-1], ADVICE_BYTES):
                os.posix_fadvise(self._descriptor, start, ADVICE_BYTES, os.POSIX_FADV_WILLNEED)
        except BaseException:
            self._close()
            raise

    def _read_index(self, descriptor: int) -> None:
        self._identity = _identity(descriptor)
        end = self._identity[-1] - LENGTH_BYTES
        length = int.from_bytes(os.pread(descriptor, LENGTH_BYTES, max(end, 0)), "little")
        if length > end:
            raise ValueError(self._path)
        index = marshal.loads(os.pread(descriptor, length, end - length))  # noqa: S302 (trusted like bytecode)
        self.modules: dict[str, dict[str, tuple[bool, int, int]]] = index["modules"]
        self.site_packages = _site_packages()
        installed = sorted(name for name in os.listdir(self.site_packages) if name.endswith(DISTRIBUTION))  # noqa: PTH208
        if [index["magic"], index["installed"], index["size"]] != [MAGIC_NUMBER, installed, end - length]:
            raise ValueError(self._path)

    def keep_rest(self) -> None:
        """Read the modules that are left, if they are small, and close the file: flows close descriptors.

        If they are larger, the file is opened for each of them from now on.
        """
        left = [module[1:] for modules in self.modules.values() for module in modules.values()]
        if self._descriptor is not None and sum(size for _, size in left) <= MOST_KEPT_BYTES:
            with suppress(OSError):
                self._kept = {start: os.pread(self._descriptor, size, start) for start, size in left}
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def read(self, start: int, size: int) -> bytes:
        """The bytecode at a place.

        Raises:
            OSError: the file is gone, or another one has its name.
        """
        if self._descriptor is not None:
            return os.pread(self._descriptor, size, start)
        if start in self._kept:
            return self._kept.pop(start)
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            if _identity(descriptor) != self._identity:
                raise FileNotFoundError(self._path)
            return os.pread(descriptor, size, start)
        finally:
            os.close(descriptor)

    def forget(self) -> None:
        """Forget all modules, those of directories that nobody has looked into included."""
        for modules in self.modules.values():
            modules.clear()
        self._kept.clear()

    def finder(self, path: str) -> "BundleFinder":
        """The finder for a directory of which the bundle has modules; a path hook.

        Raises:
            ImportError: it has none.
        """
        if f"{path}/".startswith(f"{self.site_packages}/") and not path.endswith("/"):
            modules = self.modules.get(path[len(self.site_packages) + 1 :])
            if modules is not None:
                return BundleFinder(path, modules, self)
        raise ImportError(path)


class BundleFinder(machinery.FileFinder):
    """Finds the modules of one directory in the bundle, and all others as Python does."""

    def __init__(self, path: str, modules: dict[str, tuple[bool, int, int]], bundle: ImportBundle) -> None:
        super().__init__(path, *LOADERS)
        self._modules = modules
        self._bundle = bundle

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> machinery.ModuleSpec | None:
        """The spec that Python's own finder would make, with a loader that has the bundle's code."""
        name = fullname.rpartition(".")[2]
        module = self._modules.get(name)
        if module is None:
            return super().find_spec(fullname, target)
        package = f"{self.path}/{name}" if module[0] else None
        path = f"{package}/__init__.py" if package else f"{self.path}/{name}.py"
        loader = BundleLoader(fullname, path, lambda: self._take_code(name, path))
        return spec_from_file_location(
            fullname, path, loader=loader, submodule_search_locations=[package] if package else None
        )

    def invalidate_caches(self) -> None:
        """Forget the bundle: whoever calls this has changed the environment."""
        self._bundle.forget()
        super().invalidate_caches()

    def _take_code(self, name: str, path: str) -> CodeType | None:
        """A module's code; None if it was taken before, or cannot be read."""
        module = self._modules.pop(name, None)
        if module is None:
            return None
        try:
            code: CodeType = marshal.loads(self._bundle.read(*module[1:]))  # noqa: S302 (trusted like bytecode)
        except UNUSABLE:
            return None
        _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]  # noqa: SLF001 (as Python's own loader does)
        return code


class BundleLoader(machinery.SourceFileLoader):
    """A loader of a source file that takes its code from the bundle the first time."""

    def __init__(self, fullname: str, path: str, take_code: "Callable[[], CodeType | None]") -> None:
        super().__init__(fullname, path)
        self._take_code = take_code

    def __reduce__(self) -> "tuple[type[machinery.SourceFileLoader], tuple[str, str]]":
        """Python's own loader, when it is copied or pickled."""
        return machinery.SourceFileLoader, (self.name, self.path)

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code."""
        return self._take_code() or super().get_code(fullname)


BundleLoader.__module__ = machinery.SourceFileLoader.__module__  # this one is not in `sys.modules`


def use_import_bundle(path: str) -> "ImportBundle | None":
    """Import from a bundle from now on; None if there is none, or none that this Python can use.

    Python with -O, or with a directory of its own for bytecode, uses other bytecode.
    """
    if sys.flags.optimize or sys.pycache_prefix:
        return None
    try:
        bundle = ImportBundle(path)
    except UNUSABLE:
        return None
    sys.path_hooks.insert(0, bundle.finder)
    for directory in [directory for directory in sys.path_importer_cache if directory.startswith(bundle.site_packages)]:
        del sys.path_importer_cache[directory]
    return bundle


def _site_packages() -> str:
    found = (path for path in sys.path if path.startswith(f"{sys.prefix}/") and path.endswith("/site-packages"))
    path = next(found, None)
    if path is None:
        raise FileNotFoundError
    return path


def _identity(descriptor: int) -> tuple[int, ...]:
    """What tells a file from another one of the same name; the last is its size."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
