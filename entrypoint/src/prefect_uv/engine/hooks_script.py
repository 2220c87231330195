"""Runs in the project's environment, on every Prefect from 3.0 and Python from 3.9: load the flow, run its hooks."""

import inspect
import os
import sys
from uuid import UUID


def _load(entrypoint):
    from prefect import flows

    try:
        return flows.load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except Exception as error:
        convert = getattr(flows, "load_function_and_convert_to_flow", None)
        if convert is None or type(error).__name__ != "MissingFlowError":
            raise
        return convert(entrypoint)


def _call(hook, flow, flow_run, state):
    import asyncio

    result = hook(flow, flow_run, state)
    if inspect.isawaitable(result):

        async def finish():
            return await result

        asyncio.run(finish())


def main(kind):
    import prefect.main  # noqa: F401
    from prefect.client.orchestration import get_client
    from prefect.logging.loggers import flow_run_logger

    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(UUID(os.environ["PREFECT__FLOW_RUN_ID"]))
    flow = _load(os.environ["PREFECT__FLOW_ENTRYPOINT"])
    logger = flow_run_logger(flow_run, flow)
    hooks = flow.on_cancellation_hooks if kind == "cancellation" else flow.on_crashed_hooks
    for hook in hooks or []:
        name = getattr(hook, "__name__", type(hook).__name__)
        logger.info(f"Running hook {name!r} in response to entering state {flow_run.state.name!r}")
        try:
            _call(hook, flow, flow_run, flow_run.state)
        except Exception:
            logger.exception(f"An error was encountered while running hook {name!r}")
        else:
            logger.info(f"Hook {name!r} finished running successfully")


if __name__ == "__main__":
    main(sys.argv[1])
