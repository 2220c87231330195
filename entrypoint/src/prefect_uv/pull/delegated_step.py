"""Steps that only Prefect itself can run: in a process of its own, on an isolated environment that has what they need.

Prefect is never imported here; `_perform_step.py` is given to the isolated interpreter as source text.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from prefect_uv.environments import EnvironmentStore
from prefect_uv.errors import PullStepError, tool_report
from prefect_uv.log.mask import masked
from prefect_uv.log.progress import logging_progress
from prefect_uv.processes.streamed_command import LineHandler, run_streamed
from prefect_uv.project import UnlockedProject
from prefect_uv.pull.checkout import Checkout, StepContext
from prefect_uv.pull.git.offline_clone import refuse_remote

PERFORM = (files("prefect_uv.pull") / "_perform_step.py").read_text()
STORAGE_BLOCK = "storage_block"
BAKED_CLIENT = Path(sys.prefix).parent / "prefect-client"
SCHEMES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
BLOCKS = {
    "s3-bucket": "prefect-aws",
    "gcs-bucket": "prefect-gcp",
    "azure-blob-storage-container": "prefect-azure",
    "github-repository": "prefect-github",
    "gitlab-repository": "prefect-gitlab",
    "bitbucket-repository": "prefect-bitbucket",
    "s3": "s3fs",
    "gcs": "gcsfs",
    "azure": "adlfs",
    "github": "prefect-github",
}
CONNECTING = {*SCHEMES.values(), *BLOCKS.values()}
LEVEL = re.compile(r"^\S+ \| (\w+) +\| ")


def run_delegated_step(
    context: StepContext, checkout: Checkout, function: str, inputs: Mapping[str, Any], requires: Sequence[str]
) -> tuple[Any, Checkout]:
    """Call a function by its full name in an environment that has Prefect and `requires`.

    Returns:
        its output, and the workspace with the working directory and the environment that it left.

    Raises:
        PullStepError: the function does not exist, or raised; or it needs the network, and there is to be none.
        SyncError: the environment could not be built.
    """
    if context.settings.offline:
        refuse_remote(
            function, inputs, [name for name in requirements_of_step(function, inputs, ()) if name in CONNECTING]
        )
    python = _step_interpreter(requirements_of_step(function, inputs, requires), context)
    with tempfile.TemporaryDirectory(prefix="prefect-uv-step-") as private:
        report = Path(private) / "report.json"
        order = json.dumps({"function": function, "inputs": inputs, "report": str(report)})
        environ = _step_environ(checkout.environ, Path(private), python)
        with logging_progress(context.log, f"running {function}"):
            finished = run_streamed(
                [str(python), "-c", PERFORM], env=environ, cwd=checkout.base, line=_forward_lines(context), feed=order
            )
        if finished.exit_code or not report.is_file():
            message = f"{function} failed."
            raise PullStepError(message, tool_report(function, finished.exit_code, finished.stderr or finished.stdout))
        told = json.loads(report.read_text())
    return told["output"], _left(checkout, Path(told["directory"]), told["environ"])


def pull_from_storage(
    context: StepContext, checkout: Checkout, deployment: Mapping[str, Any], path: str | None
) -> Checkout:
    """A deployment of old, whose code is in a storage block: Prefect's own block brings it to the working directory."""
    document_id = str(deployment["storage_document_id"])
    context.log.info(f"Downloading flow code from storage at {path!r}")
    slug = str((context.blocks.document(document_id).get("block_type") or {}).get("slug"))
    inputs = {"document_id": document_id, "from_path": path, "local_path": str(checkout.base)}
    requires = requirements_of_step(STORAGE_BLOCK, {"block_type_slug": slug}, [])
    output, checkout = run_delegated_step(context, checkout, STORAGE_BLOCK, inputs, requires)
    return checkout.with_output(None, output)


def _left(checkout: Checkout, directory: Path, environ: Mapping[str, str]) -> Checkout:
    merged = {**checkout.environ, **environ}
    if directory == checkout.base.resolve():
        return replace(checkout, environ=merged)
    return replace(checkout, environ=merged, base=directory, directory=directory)


def requirements_of_step(function: str, inputs: Mapping[str, Any], requires: Sequence[str]) -> list[str]:
    """What the step asks for, or what its name and inputs tell when it asks for nothing."""
    if requires:
        return list(requires)
    package = function.partition(".")[0]
    if package.startswith("prefect_"):
        return [package.replace("_", "-")]
    scheme = SCHEMES.get(str(inputs.get("url", "")).partition("://")[0])
    block = BLOCKS.get(str(inputs.get("block_type_slug", "")))
    return [name for name in (scheme, block) if name]


def _step_interpreter(requirements: Sequence[str], context: StepContext) -> Path:
    """The baked environment when nothing else is needed, otherwise one of the store."""
    baked = BAKED_CLIENT / "bin" / "python"
    if not requirements and baked.exists():
        return baked
    store = EnvironmentStore(replace(context.settings, baked_dir=Path(os.devnull)), context.log)
    return store.environment(_project(requirements, store.image.prefect)).path / "bin" / "python"


def _project(requirements: Sequence[str], prefect: str) -> UnlockedProject:
    """The requirements with as much of the image's Prefect as they need: the client, or all of it."""
    nowhere = Path("/")
    return UnlockedProject(
        name=" with ".join(["a pull step", *filter(None, [", ".join(map(masked, requirements))])]),
        shape="pull step",
        directory=nowhere,
        root=nowhere,
        inputs=(),
        source_roots=(),
        requirements=(*requirements, f"prefect-client=={prefect}"),
        constraints=(f"prefect=={prefect}",),
    )


def _step_environ(environ: Mapping[str, str], private: Path, python: Path) -> dict[str, str]:
    """The step's environment; Prefect's own files go to a directory that is gone afterwards."""
    kept = {name: value for name, value in environ.items() if name not in {"VIRTUAL_ENV", "PYTHONHOME"}}
    quiet = {"PREFECT_LOGGING_COLORS": "false", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PREFECT_HOME": str(private)}
    return {**quiet, **kept, "PATH": f"{python.parent}:{environ.get('PATH', os.defpath)}"}


def _forward_lines(context: StepContext) -> LineHandler:
    """Forward a line of the step, at the level that Prefect's console format names."""

    def forward(text: str) -> None:
        level = LEVEL.match(text)
        say = context.log.warning if level and level[1] in {"WARNING", "ERROR", "CRITICAL"} else context.log.info
        say(LEVEL.sub("", text))

    return forward
