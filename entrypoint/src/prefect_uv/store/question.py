"""What uv would install for a project: asked when a fingerprint is unknown; what cannot work is refused here."""

from __future__ import annotations

from prefect_uv.image import Image, facts
from prefect_uv.project import Locked, prefect_missing
from prefect_uv.runlog import RunLog
from prefect_uv.store.contents import Contents, packages
from prefect_uv.store.identity import tool_settings, variables
from prefect_uv.store.shelf import PREFECT
from prefect_uv.store.uv import Uv


def ask(uv: Uv, policy: str, log: RunLog) -> Contents:
    """The contents of the project's environment, by the lock policy.

    Raises:
        LockfileStaleError, PrefectMissingError, PythonMissingError: nothing is worth building.
    """
    python = uv.python()
    if policy == "relock":
        log.info("locking again, as PREFECT_UV_LOCK=relock says")
        uv.lock()
    requirements = uv.export(python, locked=policy == "locked")
    planned = uv.plan(python)
    _refuse_without_prefect(planned, uv.project)
    version, platform = _interpreter(python, uv.image)
    settings = (*variables(uv.environ, indexes=False), *tool_settings(uv.project, uv.environ))
    return Contents(uv.image.uv_minor, python, version, platform, settings, packages(requirements, planned))


def _interpreter(python: str, image: Image) -> tuple[str, str]:
    """Version and platform: known for the image's own interpreter, asked of any other."""
    return (image.python_version, image.platform) if python == image.python else facts(python)


def _refuse_without_prefect(planned: dict[str, str], project: Locked) -> None:
    if not any(name in planned for name in PREFECT):
        raise prefect_missing(project)
