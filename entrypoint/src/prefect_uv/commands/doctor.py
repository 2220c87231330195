"""`prefect-uv doctor`: show what this container has, what it may write, and what it can reach."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect_uv.api.client import ApiClient
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.bake.bake_record import baked_selections
from prefect_uv.errors import PrefectUvError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.session import Session
from prefect_uv.settings import Settings


def doctor(session: Session) -> int:
    """Print what was found on stdout.

    Returns:
        0 if the API was reached, else 1.
    """
    settings, cache = session.settings, session.settings.cache_dir
    space = _free_space(cache) if os.access(cache, os.W_OK) else "is not writable: nothing is kept between runs"
    reached, status = api_status(session.settings)
    found = {
        **asdict(Image.read()),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "cache": f"{cache} {space}",
        "baked": [*map(str, baked_selections(settings.baked_dir))],
        "api": status,
    }
    if session.options.json:
        session.log.show(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        show_facts(session.log, found)
    return 0 if reached else 1


def show_facts(log: RunLog, found: Mapping[str, Any]) -> None:
    """A line for each fact, and for each item of a list."""
    for name, value in found.items():
        for item in value if isinstance(value, list) else [value]:
            log.show(f"{name:16}{item}")


def _free_space(directory: Path) -> str:
    usage = shutil.disk_usage(directory)
    return f"has {usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free"


def api_status(settings: Settings) -> tuple[bool, str]:
    """Whether the API answers, and what it says."""
    if not settings.api_url:
        return False, "PREFECT_API_URL is not set"
    try:
        version = ApiClient(settings).version()
    except (PrefectUvError, NotFoundError) as error:
        return False, str(error) or f"{settings.api_url} is not a Prefect API"
    return True, f"{settings.api_url} is Prefect {version}"
