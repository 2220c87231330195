"""The bundle: the file that the worker mounts, or a download from the work pool's storage."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect_uv.bundles.bundle_command import BundleCommand
from prefect_uv.environments import EnvironmentStore
from prefect_uv.errors import BundleInvalidError
from prefect_uv.processes.streamed_command import run_streamed
from prefect_uv.project import UnlockedProject
from prefect_uv.project.files.requirement_lines import parse_requirements
from prefect_uv.session import Session
from prefect_uv.shapes import TEXT_OR_NONE, mismatch

BUNDLE_VARIABLE = "_PREFECT_UV_BUNDLE"  # _fetch_bundle.py and _run_bundle.py read it
FETCH_SCRIPT = Path(__file__).with_name("_fetch_bundle.py")
BUNDLE_DOCUMENT = {
    "function": str,
    "context": str,
    "flow_run": dict,
    "dependencies": TEXT_OR_NONE,
    "files_key": TEXT_OR_NONE,
}
SUBMIT_AGAIN = "Submit the flow again."


def read_bundle(path: Path) -> dict[str, Any]:
    """The bundle in a file.

    Raises:
        BundleInvalidError: the file does not exist, cannot be read, or is no bundle.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        hint = "Submit the flow where Docker runs it, or give the work pool a storage: `prefect work-pool storage`."
        raise BundleInvalidError(f"The bundle {path} does not exist in this container.", hint=hint) from None
    except OSError as error:
        raise BundleInvalidError(
            f"The bundle {path} cannot be read: {error.strerror}.",
            f"{_describe_owner(path)} This container's uid is {os.geteuid()}.",
            "Run it as the user who submits, with the job variable `container_create_kwargs: {user: …}`; or give"
            " the work pool a storage: `prefect work-pool storage`.",
        ) from None
    except ValueError:
        raise BundleInvalidError(f"{path} is no bundle: it is not JSON.", hint=SUBMIT_AGAIN) from None
    if wrong := mismatch(document, BUNDLE_DOCUMENT, "the file"):
        raise BundleInvalidError(f"{path} is no bundle: {wrong}.", hint=SUBMIT_AGAIN)
    if (files := document.get("files_key")) and not os.path.exists(path.parent / files):  # noqa: PTH110 (names may be too long)
        raise BundleInvalidError(
            f"The bundle {path} includes files, but their archive is not there.",
            f"There is no {path.parent / files}: prefect-docker 0.7.4 hands over the bundle alone.",
            "Give the work pool a storage: `prefect work-pool storage`.",
        )
    return dict(document)


def bundle_project(command: BundleCommand, bundle: dict[str, Any]) -> UnlockedProject:
    """What the bundle's environment has: the packages of whoever submitted it.

    They take precedence over what the module requires, as with Prefect, which installs them afterwards.

    Raises:
        BundleInvalidError: a dependency is an option. Prefect refuses them, too.
    """
    lines = [line.strip() for line in (bundle.get("dependencies") or "").splitlines() if line.strip()]
    if option := next((line for line in lines if line.startswith("-")), ""):
        raise BundleInvalidError(f"The bundle has a dependency that is an option: {option!r}.", hint=SUBMIT_AGAIN)
    own = _names("\n".join(lines))
    others = [line for line in command.requirements if not own & _names(line)]
    return _project(f"the bundle's {len(lines)} packages", command, (*lines, *others))


def _names(requirements: str) -> set[str]:
    return {one.name for one in parse_requirements(requirements)}


def download_bundle(command: BundleCommand, session: Session) -> Path:
    """Have the module download the bundle and the files that it includes; they come into the working directory.

    Raises:
        BundleInvalidError: the module failed.
        SyncError: the module's environment could not be built.
    """
    settings, target = session.settings, session.scratch() / "bundle.json"
    store = EnvironmentStore(replace(settings, baked_dir=Path(os.devnull)), session.log)
    environment = store.environment(_project(f"the module {command.module}", command, command.requirements))
    python = environment.path / "bin" / "python"
    environ = {**settings.flow_environ, BUNDLE_VARIABLE: str(target), "PREFECT_LOGGING_COLORS": "false"}
    done = run_streamed(
        [str(python), "-c", FETCH_SCRIPT.read_text(), command.module, *command.arguments],
        env=environ,
        cwd=Path.cwd(),
        line=session.log.detail,
    )
    os.close(environment.lease)
    if done.exit_code or not target.is_file():
        raise BundleInvalidError(f"{command.module} could not download the bundle {command.key}.", done.report)
    return target


def _project(name: str, command: BundleCommand, requirements: tuple[str, ...]) -> UnlockedProject:
    nowhere = Path("/")
    return UnlockedProject(
        name=name,
        shape="bundle",
        directory=nowhere,
        root=nowhere,
        inputs=(),
        source_roots=(),
        requirements=requirements,
        python_request=command.python,
        python_origin="the bundle",
    )


def _describe_owner(path: Path) -> str:
    """Who owns the directory that cannot be entered, or else the file."""
    closed = next((parent for parent in [*reversed(path.parents), path] if not os.access(parent, os.R_OK)), path)
    status = closed.stat()
    return f"{closed} belongs to uid {status.st_uid} and has the mode {status.st_mode & 0o777:o}."
