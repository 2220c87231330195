"""`prefect-uv key`: the key of the environment that a project would get here, without building it."""

from __future__ import annotations

import json
from pathlib import Path

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.key.fingerprint import digest_fields, fingerprint
from prefect_uv.environments.plan import source_of
from prefect_uv.project import ExtraPackages, Project, find_extra_packages, find_project, log_project
from prefect_uv.project.files.requirements_files import Requirements
from prefect_uv.session import Session


def show_key(session: Session) -> int:
    """Print the key for the project in the working directory on stdout, and nothing else.

    Extra packages are added to an environment that exists, so their key is not known here; a digest stands for them.
    """
    directory, settings, log = Path.cwd(), session.settings, session.log
    project = session.phase("look", find_project, directory, None, settings)
    extra = find_extra_packages(directory, project, settings)
    log_project(log, project, extra.files)
    store = EnvironmentStore(settings, log)
    source = source_of(project, settings)
    inputs = fingerprint(source.fields(), store.image, settings.environ, project.directory)
    with log.phase("plan"), store.planning(source) as (plan, _):
        key = plan.contents.key
    if session.options.json:
        found = {"key": key, "fingerprint": inputs, "project": project.name, "extra": _digest(extra, session, project)}
        log.show(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        log.show(key)
    return 0


def _digest(extra: ExtraPackages, session: Session, project: Project) -> str:
    """A digest of the extra packages' lines and files; empty without any."""
    if not extra:
        return ""
    read = Requirements.read(project.directory, extra.files, session.settings.environ, extra.requirements)
    return digest_fields([*extra.requirements, *(part for entry in read.inputs for part in entry)])
