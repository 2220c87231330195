"""Load the flow and run its hooks, in the project's environment, on any Prefect from 3.0 and any Python from 3.9.

The log lines are those of `call_hooks`: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flow_engine.py
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect import flows
from prefect.client.orchestration import get_client
from prefect.logging.loggers import flow_run_logger

Hook = Callable[..., Any]


def load(entrypoint: str) -> Any:
    """The flow, or a flow made from a plain function where this Prefect does that.

    `load_function_and_convert_to_flow` exists from Prefect 3.2.1 on:
    https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flows.py
    """
    try:
        return flows.load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except Exception as error:
        convert = getattr(flows, "load_function_and_convert_to_flow", None)
        if convert is None or type(error).__name__ != "MissingFlowError":
            raise
        return convert(entrypoint)


def call(hook: Hook, flow: Any, flow_run: Any) -> None:
    """Call one hook, asynchronous or not; an exception is logged, and the other hooks still run."""
    logger = flow_run_logger(flow_run, flow)
    name = getattr(hook, "__name__", type(hook).__name__)
    logger.info(f"Running hook {name!r} in response to entering state {flow_run.state.name!r}")
    try:
        result = hook(flow, flow_run, flow_run.state)
        if inspect.isawaitable(result):
            asyncio.run(_finish(result))
    except Exception:
        logger.exception(f"An error was encountered while running hook {name!r}")
    else:
        logger.info(f"Hook {name!r} finished running successfully")


async def _finish(result: Any) -> None:
    await result


def main(kind: str, flow_run_id: str, entrypoint: str) -> None:
    """Run all hooks of a kind, `cancellation` or `crashed`, with the run's current state."""
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(UUID(flow_run_id))
    flow = load(entrypoint)
    for hook in getattr(flow, f"on_{kind}_hooks") or []:
        call(hook, flow, flow_run)


if __name__ == "__main__":
    main(*sys.argv[1:])
