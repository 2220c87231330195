"""Steps that only Prefect itself can run, each in a process of an isolated environment that has what the step needs.

Prefect is never imported here: the isolated interpreter gets `_perform_step.py` as source text.
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
from prefect_uv.log.mask import Mask
from prefect_uv.log.progress import logging_progress
from prefect_uv.processes.streamed_command import LineHandler, run_streamed
from prefect_uv.project import UnlockedProject
from prefect_uv.pull.checkout import Checkout, StepContext
from prefect_uv.pull.git.offline_clone import refuse_remote

SOURCE_TEXT = (files("prefect_uv.pull") / "_perform_step.py").read_text()
STORAGE_BLOCK = "storage_block"
BAKED_CLIENT = Path(sys.prefix).parent / "prefect-client"
# Packages of fsspec, with which pull_from_remote_storage opens URLs.
# Prefect 3.8.8: https://filesystem-spec.readthedocs.io/en/latest/api.html#other-known-implementations
SCHEME_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
# Prefect 3.8.8: packages of its integrations and of fsspec. https://docs.prefect.io/integrations
BLOCK_PACKAGES = {
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
NETWORK_PACKAGES = {*SCHEME_PACKAGES.values(), *BLOCK_PACKAGES.values()}
# Prefect 3.8.8: `time | LEVEL   | …`. https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/logging/logging.yml
LOG_PREFIX = re.compile(r"^\S+ \| (\w+) +\| ")


def run_delegated_step(
    context: StepContext, checkout: Checkout, function: str, inputs: Mapping[str, Any], requires: Sequence[str]
) -> tuple[Any, Checkout]:
    """Call a function by its full name in an environment that has Prefect and `requires`.

    Returns:
        the function's output, and the checkout with the working directory and the environment that it left.

    Raises:
        PullStepError: the function does not exist or raised; or it needs the network, and PREFECT_UV_OFFLINE is set.
        SyncError: the environment could not be built.
    """
    if context.settings.offline:
        guessed = requirements_of_step(function, inputs, ())
        refuse_remote(function, inputs, [name for name in guessed if name in NETWORK_PACKAGES])
    python = _step_interpreter(requirements_of_step(function, inputs, requires), context)
    with tempfile.TemporaryDirectory(prefix="prefect-uv-step-") as private:
        report_file = Path(private) / "report.json"
        request = json.dumps({"function": function, "inputs": inputs, "report": str(report_file)})
        environ = _step_environ(checkout.environ, Path(private), python)
        command = [str(python), "-c", SOURCE_TEXT]
        with logging_progress(context.log, f"running {function}"):
            completed = run_streamed(
                command, env=environ, cwd=checkout.base, line=_forward_lines(context), feed=request
            )
        if completed.exit_code or not report_file.is_file():
            output = completed.stderr or completed.stdout
            raise PullStepError(f"{function} failed.", tool_report(function, completed.exit_code, output))
        report = json.loads(report_file.read_text())
    return report["output"], _after_step(checkout, Path(report["directory"]), report["environ"])


def pull_from_storage(
    context: StepContext, checkout: Checkout, deployment: Mapping[str, Any], path: str | None
) -> Checkout:
    """Let Prefect fetch the code of an old deployment from its storage block into the working directory."""
    document_id = str(deployment["storage_document_id"])
    context.log.detail(f"Downloading flow code from storage at {path!r}")
    slug = str((context.blocks.document(document_id).get("block_type") or {}).get("slug"))
    inputs = {"document_id": document_id, "from_path": path, "local_path": str(checkout.base)}
    requires = requirements_of_step(STORAGE_BLOCK, {"block_type_slug": slug}, [])
    output, checkout = run_delegated_step(context, checkout, STORAGE_BLOCK, inputs, requires)
    return checkout.with_source(f"storage at {path!r}").with_output(None, output)


def _after_step(checkout: Checkout, directory: Path, changes: Mapping[str, str]) -> Checkout:
    """The checkout after a step that ended in this directory and changed these variables."""
    environ = {**checkout.environ, **changes}
    if directory == checkout.base.resolve():
        return replace(checkout, environ=environ)
    return replace(checkout, environ=environ, base=directory, directory=directory)


def requirements_of_step(function: str, inputs: Mapping[str, Any], requires: Sequence[str]) -> list[str]:
    """The step's `requires`; without any, the packages that its name and inputs suggest."""
    if requires:
        return list(requires)
    package = function.partition(".")[0]
    if package.startswith("prefect_"):
        return [package.replace("_", "-")]
    for_scheme = SCHEME_PACKAGES.get(str(inputs.get("url", "")).partition("://")[0])
    for_block = BLOCK_PACKAGES.get(str(inputs.get("block_type_slug", "")))
    return [name for name in (for_scheme, for_block) if name]


def _step_interpreter(requirements: Sequence[str], context: StepContext) -> Path:
    """The interpreter of the image's `prefect-client` if nothing else is required, or of one in the store."""
    baked = BAKED_CLIENT / "bin" / "python"
    if not requirements and baked.exists():
        return baked
    store = EnvironmentStore(replace(context.settings, baked_dir=Path(os.devnull)), context.log)
    return store.environment(_step_project(requirements, store.image.prefect, context.log.mask)).path / "bin" / "python"


def _step_project(requirements: Sequence[str], prefect: str, mask: Mask) -> UnlockedProject:
    """The requirements with as much of the image's Prefect as they need: the client, or all of it.

    Not every release of `prefect` has a `prefect-client` (there is none of 3.9.1), so the one before it will do.
    """
    nowhere = Path("/")
    major, minor, _ = prefect.split(".", 2)
    return UnlockedProject(
        name=" with ".join(["a pull step", *filter(None, [", ".join(map(mask, requirements))])]),
        shape="pull step",
        directory=nowhere,
        root=nowhere,
        inputs=(),
        source_roots=(),
        requirements=(*requirements, f"prefect-client>={major}.{minor},<={prefect}"),
        constraints=(f"prefect=={prefect}",),
    )


def _step_environ(environ: Mapping[str, str], private: Path, python: Path) -> dict[str, str]:
    """The step's environment; Prefect's own files go to the private directory, which is deleted afterwards."""
    inherited = {name: value for name, value in environ.items() if name not in {"VIRTUAL_ENV", "PYTHONHOME"}}
    defaults = {
        "PREFECT_LOGGING_COLORS": "false",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "PREFECT_HOME": str(private),
    }
    return {**defaults, **inherited, "PATH": f"{python.parent}:{environ.get('PATH', os.defpath)}"}


def _forward_lines(context: StepContext) -> LineHandler:
    """A handler that logs each line of the step at the level that the line names, without Prefect's prefix."""

    def forward(text: str) -> None:
        level = LOG_PREFIX.match(text)
        is_warning = level and level[1] in {"WARNING", "ERROR", "CRITICAL"}
        (context.log.warning if is_warning else context.log.info)(LOG_PREFIX.sub("", text))

    return forward
