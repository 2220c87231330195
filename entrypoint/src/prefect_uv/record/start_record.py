"""The document that describes a start; docs/reference/record.md has a row for each of its fields."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect_uv.api.client import Json
from prefect_uv.api.flow_run import AlreadyOver
from prefect_uv.environments import Environment
from prefect_uv.environments.key.environment_contents import Package
from prefect_uv.environments.key.fingerprint import digest_fields
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.image_facts import Image
from prefect_uv.log.mask import Mask
from prefect_uv.processes.signals import StateCheckNeeded, Terminated
from prefect_uv.project import Project
from prefect_uv.pull import Checkout
from prefect_uv.record.git_commit import commit_in, remote_of
from prefect_uv.record.network_counters import received_since
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv.start_ending import ExecutedElsewhere, catalogued_error

RECORD_FORMAT = 1


def describe_start(session: Session, command: str, received_before: Mapping[str, int]) -> Json:
    """The record of a start whose flow is being launched; every text in it is masked.

    Args:
        session: the start.
        command: the command of prefect-uv, such as `run`.
        received_before: what `received_bytes` returned when the start began.
    """
    return _describe_so_far(session, command, received_before, "started", None)


def describe_failure(
    session: Session, command: str, received_before: Mapping[str, int], reason: BaseException, exit_code: int
) -> Json:
    """The record of a start that ended without the flow, as far as it got; the other arguments are the same.

    Args:
        session: the start.
        command: the command.
        received_before: as above.
        reason: what ended it.
        exit_code: the container's exit code.
    """
    error: Json = {"slug": None, "headline": str(reason), "exit_code": exit_code}
    match reason:
        case Terminated():
            outcome, error["headline"] = "stopped", f"{reason} arrived before the flow started."
        case AlreadyOver() | ExecutedElsewhere() | StateCheckNeeded():
            outcome = "not needed"
        case Exception():
            known = catalogued_error(reason)
            outcome, error["slug"], error["headline"] = "failed", known.slug, known.headline
        case _:
            outcome = "failed"
    return _describe_so_far(session, command, received_before, outcome, error)


def _describe_so_far(
    session: Session, command: str, received_before: Mapping[str, int], outcome: str, error: Json | None
) -> Json:
    results, phases, begins = session.results, session.log.phases, session.log.begins
    deployment, checkout = results.get("ask"), results.get("pull")
    first = min(begins.values(), default=time.perf_counter())
    began = datetime.fromtimestamp(time.time() - (time.perf_counter() - first), UTC)
    document: Json = {
        "record": RECORD_FORMAT,
        "outcome": outcome,
        "command": command,
        "error": error,
        "began": began.isoformat(timespec="milliseconds"),
        "flow_run": _run_facts(session),
        "deployment": _deployment_facts(deployment) if isinstance(deployment, dict) else None,
        "code": _code_facts(checkout, results.get("look")) if isinstance(checkout, Checkout) else [],
        "project": _project_facts(results.get("look")),
        "environment": _environment_record(session, results.get("sync")),
        "policy": results.get("policy"),
        "image": _image_facts(session, deployment if isinstance(deployment, dict) else {}),
        "host": socket.gethostname(),
        "phases": {name: round(milliseconds, 1) for name, milliseconds in phases.items()},
        "total": round(sum(phases.values()), 1),
        "received": received_since(received_before),
    }
    masked: Json = _masked_values(document, session.log.mask)
    return masked


def _run_facts(session: Session) -> Json | None:
    run = session.flow_run
    if run is None:
        return {"id": session.settings.flow_run_id, "name": None} if session.settings.flow_run_id else None
    return {"id": run.id, "name": run.name, "earlier_attempts": run.attempts}


def _deployment_facts(deployment: Json) -> Json | None:
    """Its id, name and entrypoint; None for code in the working directory, without a deployment."""
    return {name: deployment.get(name) for name in ("id", "name", "entrypoint")} if deployment.get("id") else None


def _code_facts(checkout: Checkout, project: Any) -> list[Json]:
    """Each clone with its remote and commit; without any, the clone that the project was found in, if it is in one."""
    clones = [(clone.directory, clone.url) for clone in checkout.clones]
    if not clones:
        roots = {checkout.directory, *((project.root,) if isinstance(project, Project) else ())}
        clones = [(root, remote_of(root)) for root in sorted(roots) if commit_in(root)]
    return [{"remote": url or None, "commit": commit_in(directory) or None} for directory, url in clones]


def _project_facts(project: Any) -> Json | None:
    if not isinstance(project, Project):
        return None
    selection = [*project.selection.options]
    return {"name": project.name, "shape": project.shape, "directory": str(project.directory), "selection": selection}


def _environment_record(session: Session, environment: Any) -> Json | None:
    if not isinstance(environment, Environment):
        return None
    manifest = Manifest.read(environment.path)
    packages = manifest.contents.packages if manifest else {}
    return {
        "key": environment.key,
        "hit": environment.hit,
        "why": environment.why,
        "place": _place(environment.path, session.settings),
        "packages": len(packages),
        "packages_digest": packages_digest(packages),
        "python": environment.python_version,
        "prefect": environment.prefect,
    }


def _place(path: Path, settings: Settings) -> str:
    """Where an environment is: in the image, on the cache volume, or in the container alone."""
    if path.is_relative_to(settings.baked_dir):
        return "image"
    return "volume" if path.is_relative_to(settings.cache_dir) else "container"


def packages_digest(packages: Mapping[str, Package]) -> str:
    """SHA-256 over the names, versions and origins of packages: equal on every machine for the same files."""
    fields = ((name, package.version, package.source) for name, package in sorted(packages.items()))
    return f"sha256:{digest_fields(field for group in fields for field in group)}"


def _image_facts(session: Session, deployment: Json) -> Json:
    """The image's facts, and the reference that the run's or the deployment's job variables name."""
    image = Image.read()
    run = session.flow_run.document if session.flow_run else {}
    named = (_job_image(document) for document in (run, deployment))
    reference = next(filter(None, named), None)
    digest = reference.partition("@")[2] if reference else ""
    return {
        "name": image.name,
        "version": image.version,
        "uv": image.uv,
        "reference": reference,
        "digest": digest or None,
    }


def _job_image(document: Json) -> str:
    variables = document.get("job_variables")
    named = variables.get("image") if isinstance(variables, dict) else None
    return named if isinstance(named, str) else ""


def _masked_values(value: Any, mask: Mask) -> Any:
    """A JSON value with every text in it masked."""
    if isinstance(value, dict):
        return {name: _masked_values(item, mask) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked_values(item, mask) for item in value]
    return mask(value) if isinstance(value, str) else value
