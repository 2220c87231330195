"""Runs in an isolated interpreter, never in ours: import a step's function, call it, report what it left.

The order comes on stdin (inputs may hold secrets), the report goes to a private file: stdout belongs to the step.
Prefect's modules are those of its versions from 3.0 on.
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


async def _storage_block(document_id: str, from_path: str | None, local_path: str) -> dict[str, str]:
    """Bring the code of a deployment without pull steps, as `prefect.flows.load_flow_from_flow_run` does."""
    async with get_client() as client:
        document = await client.read_block_document(UUID(document_id))
    block: Any = Block._from_block_document(document)  # noqa: SLF001 (what Prefect's own loader calls)
    await block.get_directory(from_path=from_path, local_path=local_path)
    return {"directory": local_path}


async def _wait(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _changes(environ: Mapping[str, str], paths: list[str]) -> dict[str, str]:
    """What is new in the environment and on the import path."""
    changed = {name: value for name, value in os.environ.items() if environ.get(name) != value}
    if added := [path for path in sys.path if path not in paths]:
        changed["PYTHONPATH"] = os.pathsep.join([*added, *filter(None, [os.environ.get("PYTHONPATH")])])
    return changed


def main() -> None:
    """Perform the order."""
    order = json.load(sys.stdin)
    function = _storage_block if order["function"] == "storage_block" else import_object(order["function"])
    environ, paths = dict(os.environ), list(sys.path)
    output = function(**order["inputs"])
    if inspect.isawaitable(output):
        output = asyncio.run(_wait(output))
    told = {"output": output, "directory": str(Path.cwd()), "environ": _changes(environ, paths)}
    Path(order["report"]).write_text(json.dumps(told, default=str))


main()
