"""The engine of the corpus's made-up Prefect: run in an environment, it prints what can be seen from there.

`python -m prefect.flow_engine ENTRYPOINT` prints a JSON list of facts: the modules that can be imported, those that
CORPUS_MODULES names among them, the packages with their versions and entry points, and what the flow does. The flow is
loaded as Prefect loads it. A flow run is then Completed.
Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/utilities/importtools.py
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from http.client import HTTPConnection
from importlib import metadata
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

DEPTH = 4
OURS = re.compile(r"_virtualenv|prefect.*|_?_editable_.*|_\w+_editable_loader|__init__|__pycache__")
"""Modules that every environment has, and the import hooks of editable installations."""


def modules(expected: Iterable[str]) -> Iterator[str]:
    """Yield a fact for each module of the checkout, of a package, or expected, if it can be imported."""
    directories = [*map(Path, sys.path), Path.cwd(), *Path.cwd().rglob("*")]
    names = {*expected, *(name for path in directories for name in _names_in(path))}
    for name in sorted(names & sys.stdlib_module_names):
        spec = importlib.util.find_spec(name)
        own = spec and spec.origin and Path.cwd() in Path(spec.origin).parents
        if own or any(path.stem == name for path in Path.cwd().rglob("*")):
            yield f"{name} is of {'the project' if own else 'the standard library'}"
    for name in sorted(names - sys.stdlib_module_names):
        yield from (f"import {found}" for found in _importable(name, DEPTH))


def _importable(name: str, depth: int) -> Iterator[str]:
    """Yield the name of a module and of those below it.

    A directory without an `__init__.py` is a namespace package, unless it lies in the working directory.
    """
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # noqa: BLE001 (a package whose `__init__.py` fails cannot be imported)
        return
    if spec is None:
        return
    places = [*map(Path, spec.submodule_search_locations or ())]
    if spec.origin:
        yield name
    elif Path.cwd() in {place.parent for place in places}:
        return
    for child in sorted({child for place in places for child in _names_in(place)}) if depth else ():
        yield from _importable(f"{name}.{child}", depth - 1)


def _names_in(directory: Path) -> set[str]:
    """The names that may be those of modules in a directory."""
    if not directory.is_dir() or directory.is_relative_to(sys.base_prefix):
        return set()
    paths = [path for path in directory.iterdir() if path.is_dir() or path.suffix in {".py", ".so"}]
    names = {path.name.partition(".")[0] for path in paths}
    return {name for name in names if name.isidentifier() and not OURS.fullmatch(name)}


def packages() -> Iterator[str]:
    """Yield a fact for each package, the first on the path of each name, and for each entry point."""
    seen: set[str] = set()
    for distribution in metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.name).lower()
        if name not in seen:
            seen.add(name)
            yield f"package {name} {distribution.version}"
            points = distribution.entry_points
            yield from (f"entry point {point.group}: {point.name} = {point.value}" for point in points)


def result(entrypoint: str) -> str:
    """What the flow prints and returns, or how it fails."""
    output = io.StringIO()
    try:
        with redirect_stdout(output):
            source, _, name = entrypoint.rpartition(":")
            returned = getattr(_load(source), name)()
    except Exception as error:  # noqa: BLE001 (the failure is a fact too)
        return f"the flow fails: {type(error).__name__}: {error}"
    return f"the flow prints {output.getvalue()!r} and returns {returned!r}"


def _load(source: str) -> ModuleType:
    if not source.endswith(".py"):
        return importlib.import_module(source)
    path = Path(source).resolve()
    sys.path[:0] = [str(path.parent), os.getcwd()]  # noqa: PTH109 (text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(source)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def complete(flow_run: str) -> None:
    """Report a flow run as Completed."""
    api = urlsplit(os.environ["PREFECT_API_URL"])
    connection = HTTPConnection(api.netloc)
    state = {"state": {"type": "COMPLETED", "name": "Completed"}}
    connection.request("POST", f"{api.path}/flow_runs/{flow_run}/set_state", json.dumps(state))
    connection.getresponse().read()


if __name__ == "__main__":
    expected = os.environ["CORPUS_MODULES"].split()
    loader = type(sys.modules["prefect"].__loader__).__name__
    sys.stdout.write(json.dumps([*modules(expected), *packages(), result(sys.argv[1])]))
    sys.stderr.write(f"prefect comes from a {loader}\n")
    if "PREFECT__FLOW_RUN_ID" in os.environ:
        complete(os.environ["PREFECT__FLOW_RUN_ID"])
