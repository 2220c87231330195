"""Steps that only Prefect itself can run: in a process of its own, on an isolated environment that has what they need.

Prefect is never imported here; `_perform.py` is given to the isolated interpreter as source text.
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

from prefect_uv.errors import PullStepError, tool_report
from prefect_uv.mask import masked
from prefect_uv.project import Unlocked
from prefect_uv.pull.offline import refuse_remote
from prefect_uv.pull.progress import still_going
from prefect_uv.pull.stream import Line, follow
from prefect_uv.pull.workspace import Tools, Workspace
from prefect_uv.store import Store

PERFORM = (files("prefect_uv.pull") / "_perform.py").read_text()
STORAGE_BLOCK = "storage_block"
BAKED = Path(sys.prefix).parent / "prefect-client"
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


def delegated(
    tools: Tools, workspace: Workspace, function: str, inputs: Mapping[str, Any], requires: Sequence[str]
) -> tuple[Any, Workspace]:
    """Call a function by its full name in an environment that has Prefect and `requires`.

    Returns:
        its output, and the workspace with the working directory and the environment that it left.

    Raises:
        PullStepError: the function does not exist, or raised; or it needs the network, and there is to be none.
        SyncError: the environment could not be built.
    """
    if tools.settings.offline:
        refuse_remote(function, inputs, [name for name in needs(function, inputs, ()) if name in CONNECTING])
    python = _interpreter(needs(function, inputs, requires), tools)
    with tempfile.TemporaryDirectory(prefix="prefect-uv-step-") as private:
        report = Path(private) / "report.json"
        order = json.dumps({"function": function, "inputs": inputs, "report": str(report)})
        environ = _environ(workspace.environ, Path(private), python)
        with still_going(tools.log, f"running {function}"):
            finished = follow(
                [str(python), "-c", PERFORM], env=environ, cwd=workspace.base, line=_line(tools), feed=order
            )
        if finished.exit_code or not report.is_file():
            message = f"{function} failed."
            raise PullStepError(message, tool_report(function, finished.exit_code, finished.stderr or finished.stdout))
        told = json.loads(report.read_text())
    return told["output"], _left(workspace, Path(told["directory"]), told["environ"])


def from_storage(tools: Tools, workspace: Workspace, deployment: Mapping[str, Any], path: str | None) -> Workspace:
    """A deployment of old, whose code is in a storage block: Prefect's own block brings it to the working directory."""
    document_id = str(deployment["storage_document_id"])
    tools.log.info(f"Downloading flow code from storage at {path!r}")
    slug = str((tools.blocks.document(document_id).get("block_type") or {}).get("slug"))
    inputs = {"document_id": document_id, "from_path": path, "local_path": str(workspace.base)}
    requires = needs(STORAGE_BLOCK, {"block_type_slug": slug}, [])
    output, workspace = delegated(tools, workspace, STORAGE_BLOCK, inputs, requires)
    return workspace.with_output(None, output)


def _left(workspace: Workspace, directory: Path, environ: Mapping[str, str]) -> Workspace:
    merged = {**workspace.environ, **environ}
    if directory == workspace.base.resolve():
        return replace(workspace, environ=merged)
    return replace(workspace, environ=merged, base=directory, directory=directory)


def needs(function: str, inputs: Mapping[str, Any], requires: Sequence[str]) -> list[str]:
    """What the step asks for, or what its name and inputs tell when it asks for nothing."""
    if requires:
        return list(requires)
    package = function.partition(".")[0]
    if package.startswith("prefect_"):
        return [package.replace("_", "-")]
    scheme = SCHEMES.get(str(inputs.get("url", "")).partition("://")[0])
    block = BLOCKS.get(str(inputs.get("block_type_slug", "")))
    return [name for name in (scheme, block) if name]


def _interpreter(requirements: Sequence[str], tools: Tools) -> Path:
    """The baked environment when nothing else is needed, otherwise one of the store."""
    baked = BAKED / "bin" / "python"
    if not requirements and baked.exists():
        return baked
    store = Store(replace(tools.settings, baked_dir=Path(os.devnull)), tools.log)
    return store.environment(_project(requirements, store.image.prefect)).path / "bin" / "python"


def _project(requirements: Sequence[str], prefect: str) -> Unlocked:
    """The requirements with as much of the image's Prefect as they need: the client, or all of it."""
    nowhere = Path("/")
    return Unlocked(
        name=" with ".join(["a pull step", *filter(None, [", ".join(map(masked, requirements))])]),
        shape="pull step",
        directory=nowhere,
        root=nowhere,
        inputs=(),
        source_roots=(),
        requirements=(*requirements, f"prefect-client=={prefect}"),
        constraints=(f"prefect=={prefect}",),
    )


def _environ(environ: Mapping[str, str], private: Path, python: Path) -> dict[str, str]:
    """The step's environment; Prefect's own files go to a directory that is gone afterwards."""
    kept = {name: value for name, value in environ.items() if name not in {"VIRTUAL_ENV", "PYTHONHOME"}}
    quiet = {"PREFECT_LOGGING_COLORS": "false", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PREFECT_HOME": str(private)}
    return {**quiet, **kept, "PATH": f"{python.parent}:{environ.get('PATH', os.defpath)}"}


def _line(tools: Tools) -> Line:
    """Forward a line of the step, at the level that Prefect's console format names."""

    def forward(text: str) -> None:
        level = LEVEL.match(text)
        say = tools.log.warning if level and level[1] in {"WARNING", "ERROR", "CRITICAL"} else tools.log.info
        say(LEVEL.sub("", text))

    return forward
