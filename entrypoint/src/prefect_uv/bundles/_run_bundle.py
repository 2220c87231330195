"""Run by the environment's Python, through `_run_module.py`: the engine for the flow of a bundle, named as an argument.

It does what Prefect's own subprocess does, but in this process, which prefect-uv supervises like any engine; so the
engine runs the flow's hooks itself. The bundle's own copy of the flow run is as old as the bundle, so it is read again.
Prefect 3.9.1: _extract_and_run_flow, https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/bundles/__init__.py
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.context import SettingsContext, get_settings_context
from prefect.engine import handle_engine_signals
from prefect.flow_engine import run_flow
from prefect.settings import Settings

BUNDLE_PACKAGES = ("prefect.bundles", "prefect._experimental.bundles")
"""The second one is that of Prefect before 3.7."""


def first_module(*names: str) -> Any:
    """The first of these modules that this Prefect has."""
    for name in names:
        with suppress(ImportError):
            return importlib.import_module(name)
    message = f"this Prefect has none of {', '.join(names)}"
    raise ImportError(message)


def main(file: str) -> None:
    """Run the flow of the bundle in this file."""
    path = Path(file)
    bundle = json.loads(path.read_text())
    if bundle.get("files_key"):
        extraction = first_module(*(f"{package}._zip_extractor" for package in BUNDLE_PACKAGES))
        extraction.ZipExtractor(path.parent / bundle["files_key"]).extract()
    with suppress(ImportError):  # before Prefect 3.6.27, an engine is not told why it is stopped
        importlib.import_module("prefect._internal.control_listener").configure_from_env()
    flow_run_id = UUID(os.environ["PREFECT__FLOW_RUN_ID"])
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(flow_run_id)
    profile = get_settings_context().profile
    with SettingsContext(profile=profile, settings=Settings()), handle_engine_signals(flow_run_id):
        bundles = first_module(*BUNDLE_PACKAGES)
        flow = bundles.extract_flow_from_bundle(bundle)
        context = vars(bundles)["_deserialize_bundle_object"](bundle["context"])
        result: Any = run_flow(flow=flow, flow_run=flow_run, context=context)
        if inspect.isawaitable(result):
            asyncio.run(_finish(result))


async def _finish(result: Any) -> None:
    await result


if __name__ == "__main__":
    main(*sys.argv[1:])
