"""Import a pull step's function, call it, and report what it left. Runs in an isolated interpreter, never in ours.

The request comes on stdin, because its inputs may be secret. The report goes to a private file, because stdout belongs
to the step. Everything that is imported from Prefect exists in all versions from 3.0 on.
"""

import asyncio
import inspect
import json
import os
import sys
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.utilities.importtools import import_object


async def _fetch_from_block(document_id: str, from_path: str | None, local_path: str) -> dict[str, str]:
    """Fetch the code of a deployment that has a storage block instead of pull steps.

    Prefect 3.8.8: load_flow_from_flow_run, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flows.py
    """
    async with get_client() as client:
        document = await client.read_block_document(UUID(document_id))
    block: Any = Block._from_block_document(document)  # noqa: SLF001 (Prefect's own loader calls it)
    await block.get_directory(from_path=from_path, local_path=local_path)
    return {"directory": local_path}


def _fetch_remote_file(url: str, local_path: str, storage_options: dict[str, Any]) -> None:
    """Fetch one file with fsspec, which Prefect depends on."""
    from fsspec.core import url_to_fs  # noqa: PLC0415 (few steps need it)

    file_system, path = url_to_fs(url, **storage_options)
    file_system.get_file(path, local_path)


async def _wait(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _changes(environ: Mapping[str, str], import_path: list[str]) -> dict[str, str]:
    """What the step changed in the environment; directories it added to `sys.path` become a PYTHONPATH."""
    changed = {name: value for name, value in os.environ.items() if environ.get(name) != value}
    if added := [path for path in sys.path if path not in import_path]:
        changed["PYTHONPATH"] = os.pathsep.join([*added, *filter(None, [os.environ.get("PYTHONPATH")])])
    return changed


FUNCTIONS: dict[str, Any] = {"storage_block": _fetch_from_block, "remote_file": _fetch_remote_file}


def main() -> None:
    """Perform the requested step and write the report."""
    request = json.load(sys.stdin)
    function = FUNCTIONS.get(request["function"]) or import_object(request["function"])
    environ, import_path = dict(os.environ), list(sys.path)
    output = function(**request["inputs"])
    if inspect.isawaitable(output):
        output = asyncio.run(_wait(output))
    report = {"output": output, "directory": str(Path.cwd()), "environ": _changes(environ, import_path)}
    Path(request["report"]).write_text(json.dumps(report, default=str))


main()
