"""Runs in an isolated interpreter, never in ours: import a step's function, call it, report what it left.

The order comes on stdin (inputs may hold secrets), the report goes to a private file: stdout belongs to the step.
"""

import asyncio
import inspect
import json
import os
import sys
from pathlib import Path


async def _wait(awaitable):
    return await awaitable


def _storage_block(document_id, from_path, local_path):
    """The storage block of a deployment without pull steps, as `prefect.flows.load_flow_from_flow_run` uses it."""
    from prefect.blocks.core import Block
    from prefect.client.orchestration import get_client

    async def pull():
        async with get_client() as client:
            document = await client.read_block_document(document_id)
        block = Block._from_block_document(document)
        await block.get_directory(from_path=from_path, local_path=local_path)
        return {"directory": local_path}

    return pull()


def main():
    """Perform the order."""
    order = json.load(sys.stdin)
    from prefect.utilities.importtools import import_object

    function = _storage_block if order["function"] == "storage_block" else import_object(order["function"])
    before, paths = dict(os.environ), list(sys.path)
    output = function(**order["inputs"])
    if inspect.isawaitable(output):
        output = asyncio.run(_wait(output))
    changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
    if added := [path for path in sys.path if path not in paths]:
        changed["PYTHONPATH"] = os.pathsep.join([*added, *filter(None, [os.environ.get("PYTHONPATH")])])
    told = {"output": output, "directory": str(Path.cwd()), "environ": changed}
    Path(order["report"]).write_text(json.dumps(told, default=str))


main()
