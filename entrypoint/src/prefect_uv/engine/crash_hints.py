"""What to do about an engine that ended before the flow began, by the end of what it wrote.

Prefect 3.8.8: "Function with name 'x' not found in 'flow.py'." (`load_function_and_convert_to_flow`), before 3.2.1
"Flow function with name …" (`load_flow_from_entrypoint`); held by tests/unit/engine/test_crash_hints.py.
https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flows.py
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from prefect_uv.environments.uv.debian_packages import missing_library

_NO_FLOW = re.compile(r"unction with name '[^']*' not found in '([^']+)'")
_NO_PIP = re.compile(r"No module named '?pip'?$", re.MULTILINE)
NO_PIP = (
    "There is no pip in an environment that runs share: add the packages to the project, or to"
    " PREFECT_UV_EXTRA_PACKAGES."
)


def crash_hint(tail: str, directory: Path) -> str:
    """What to do; empty if the text says nothing that we know.

    Args:
        tail: the end of the engine's stderr.
        directory: its working directory, from which the entrypoint's file is looked for.
    """
    if library := missing_library(tail):
        return f"{library.remedy}."
    if _NO_PIP.search(tail):
        return NO_PIP
    missing = _NO_FLOW.search(tail)
    file = _file(missing[1], directory) if missing else None
    if file is None:
        return ""
    flows = ", ".join(_flows(file))
    what = f"these flows: {flows}" if flows else "no function decorated with @flow"
    return f"{os.path.relpath(file, directory)} has {what}. Correct the entrypoint, and deploy again."


def _file(entrypoint: str, directory: Path) -> Path | None:
    """The file of an entrypoint, a path or a module; None if it is elsewhere."""
    name = entrypoint if entrypoint.endswith(".py") else f"{entrypoint.replace('.', '/')}.py"
    return next((path for path in (directory / name, directory / "src" / name) if path.is_file()), None)


def _flows(file: Path) -> Iterator[str]:
    """The names of the functions that a decorator named `flow` makes flows."""
    try:
        statements = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            map(_is_flow, statement.decorator_list)
        ):
            yield statement.name


def _is_flow(decorator: ast.expr) -> bool:
    """Whether a decorator is `flow`, `prefect.flow`, or a call of one."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(target).rpartition(".")[2] == "flow"
