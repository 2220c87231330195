"""The step `prefect_uv_deploy.steps.pull_code`: the code that `push_code` stored when the deployment was made."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect_uv.errors import PullStepError
from prefect_uv.log.progress import logging_progress
from prefect_uv.processes.signals import call_in_thread
from prefect_uv.pull.checkout import Checkout, StepContext, StepInputs
from prefect_uv.settings.environment_secrets import secrets_in_urls
from prefect_uv.shapes import is_text

DIGEST = re.compile(r"[0-9a-f]{64}")
SECRET_OPTION = re.compile(r"key|secret|token|password|credential|connection_string", re.IGNORECASE)


def pull_code(  # noqa: PLR0913 (the parameters of the step)
    context: StepContext,
    checkout: Checkout,
    *,
    url: str,
    sha256: str,
    directory: str | None = None,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> tuple[StepInputs, Checkout]:
    """Unpack the archive with this hash, from the cache volume if it is there, else from the store.

    The directory becomes the flow's working directory, as with git_clone.

    Raises:
        CodeArchiveError: the archive cannot be fetched, or is not the one that was deployed.
        PullStepError: the inputs are invalid.
    """
    from prefect_uv.pull.code_archive import CodeArchive  # noqa: PLC0415 (most deployments clone with git)
    from prefect_uv.pull.code_store import CodeStore  # noqa: PLC0415

    if not DIGEST.fullmatch(sha256):
        message = f"pull_code's sha256 {sha256!r} is not 64 hexadecimal digits."
        raise PullStepError(message, hint="Take it from push_code: {{ <id of the step>.sha256 }}.")
    if not all(isinstance(value, str) for value in (headers or {}).values()):
        message = "pull_code's headers have a value that is not a string."
        raise PullStepError(message)
    options = (value for name, value in (storage_options or {}).items() if SECRET_OPTION.search(name))
    context.log.mask.add(*secrets_in_urls(url), *(headers or {}).values(), *filter(is_text, options))
    archive = CodeArchive.of(sha256, context.settings, context.log)
    store = CodeStore(url, token, headers or {}, storage_options or {})
    target = _target(checkout.base, directory or f"code-{sha256[:12]}")
    if not store.is_local and call_in_thread(archive.restore, target):
        action = "restored"
    else:
        action = "read" if store.is_local else "fetched"
        with logging_progress(context.log, "fetching the code"):
            archive.fetch(lambda file: store.copy_to(file, context, checkout), target, keep=not store.is_local)
    checkout = checkout.with_source(f"code {sha256[:12]} ({action})")
    return {"directory": str(target.relative_to(checkout.base))}, checkout


def _target(base: Path, name: str) -> Path:
    """The directory to unpack into, which is below the base, and is not there unless it is our own.

    Raises:
        PullStepError: it is another one.
    """
    target = Path(os.path.normpath(base / name))
    if not target.is_relative_to(base) or target == base:
        raise PullStepError(f"pull_code's directory {name} is not below {base}.")
    if target.exists() and not re.fullmatch(r"code-[0-9a-f]{12}", name):
        raise PullStepError(f"pull_code's directory {target} exists already.")
    return target
