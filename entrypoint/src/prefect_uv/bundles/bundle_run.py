"""`prefect-uv bundle`: execute a flow run whose flow was submitted as a bundle, supervised like any other run.

Prefect's own module installs the bundle's packages on every run into an environment of `uv run`, and runs the flow in a
process below it. Here, these packages have an environment in the store, and the flow runs in the engine's process.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from prefect_uv.bundles.bundle_command import BundleCommand
from prefect_uv.bundles.bundle_file import BUNDLE_VARIABLE, bundle_project, download_bundle, read_bundle
from prefect_uv.engine.launch import PreparedFlow, launch_engine
from prefect_uv.engine.supervisor import supervise
from prefect_uv.environments import EnvironmentStore
from prefect_uv.preparation import environment_for
from prefect_uv.project_code import FlowCode
from prefect_uv.pull import Checkout
from prefect_uv.read_only_root import with_writable_directories
from prefect_uv.session import Session
from prefect_uv.session.run_lookup import claim_flow_run

RUN_BUNDLE = Path(__file__).with_name("_run_bundle.py")
BUNDLE_FLOW = Path(__file__).with_name("_bundle_flow.py")


def run_bundle(session: Session) -> int:
    """Execute the flow run.

    Raises:
        UsageError: the command does not execute a bundle.
        BundleInvalidError: the bundle cannot be read.
    """
    command = BundleCommand.parse(session.options.command)
    session.require_flow_run()
    settings = with_writable_directories(session.settings, session.log, session.cleanup)
    # Python is what the submitter had: the image's, or the user takes another image.
    session.settings = replace(settings, environ={"UV_PYTHON_DOWNLOADS": "never", **settings.environ})
    flow_run = session.phase("ask", claim_flow_run, session)
    path = session.phase("pull", _bundle_path, command, session)
    session.results["look"] = project = bundle_project(command, read_bundle(path))
    session.log.info(f"flow run {flow_run.name}: from the bundle {command.key}")
    store = EnvironmentStore(session.settings, session.log)
    checkout = Checkout(Path.cwd(), Path.cwd(), session.settings.flow_environ)
    environment = session.phase("sync", environment_for, session, store, project, checkout)
    module = Path(shutil.copy(BUNDLE_FLOW, session.scratch()))  # our own directory must not be on the import path
    flow = PreparedFlow(
        settings.launcher,
        checkout,
        environment,
        FlowCode(()),
        store.maintenance(environment),
        f"{module}:flow",
        settings.engine_wrapper,
        settings.import_bundle,
    )
    arguments = [str(RUN_BUNDLE), str(path)]
    launch = session.phase("launch", launch_engine, flow_run, flow, arguments, {BUNDLE_VARIABLE: str(path)})
    session.log.summary({"sync": environment.note})
    with flow.maintenance, session.recording():
        return supervise(launch, session)


def _bundle_path(command: BundleCommand, session: Session) -> Path:
    return Path(command.key) if command.is_local else download_bundle(command, session)
