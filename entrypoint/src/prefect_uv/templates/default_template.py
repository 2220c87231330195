"""The worker's own default: from a file, or else from the Prefect API.

A file comes from the installed worker, and so fits it exactly. What the API has is that of the worker's latest release,
or of the server's.

Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/api/collections.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from prefect_uv.api.client import ApiClient
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.errors import TemplateMissingError, TemplateUnknownError
from prefect_uv.options.template_options import TemplateOptions
from prefect_uv.settings import Settings
from prefect_uv.shapes import mismatch

BASE_JOB_TEMPLATE = {"job_configuration": dict, "variables": {"properties": dict}}


def read_default(options: TemplateOptions, settings: Settings) -> dict[str, Any]:
    """The default base job template of a type of work pool.

    Raises:
        TemplateMissingError: there is none to start from.
        TemplateUnknownError: it is no base job template.
    """
    document = _from_file(options.source) if options.source else _from_api(options.type, settings)
    if wrong := mismatch(document, BASE_JOB_TEMPLATE, "the document"):
        raise TemplateUnknownError(f"This is not a base job template: {wrong}.", hint=_command(options.type))
    result: dict[str, Any] = document
    return result


def _from_file(name: str) -> Any:
    try:
        return json.loads(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except OSError as error:
        raise TemplateMissingError(f"{name} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise TemplateUnknownError(f"{'stdin' if name == '-' else name} is not JSON.") from None


def _from_api(kind: str, settings: Settings) -> Any:
    if not settings.api_url:
        headline = "There is no template to start from: neither --from nor PREFECT_API_URL is given."
        raise TemplateMissingError(headline, hint=_command(kind))
    try:
        collections = ApiClient(settings).worker_metadata()
    except NotFoundError:
        raise TemplateMissingError(f"{settings.api_url} has no list of workers.", hint=_command(kind)) from None
    workers = (worker for collection in collections.values() for worker in collection.values())
    found = [worker["default_base_job_configuration"] for worker in workers if worker.get("type") == kind]
    if not found:
        raise TemplateMissingError(f"{settings.api_url} knows no worker of type {kind}.", hint=_command(kind))
    return found[0]


def _command(kind: str) -> str:
    return f"`prefect work-pool get-default-base-job-template --type {kind} | prefect-uv template {kind} --from -`."
