"""Which indexes uv may use to check whether a lock is current: only those that the lock was made with.

With other indexes, even if only a trailing slash differs, `uv export --locked` resolves again and refuses a good lock.
With none among its variables, it asks no index (ADR 14).

uv 0.13.8: "if _no_ indexes were provided, we assume that the user wants to reuse the existing distributions".
https://github.com/astral-sh/uv/blob/0.13.8/crates/uv/src/commands/project/lock.rs
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from prefect_uv.environments.key.fingerprint import INDEX_VARIABLES, without_credentials
from prefect_uv.project import LockedProject
from prefect_uv.project.files.text_files import decode_text
from prefect_uv.project.lockfile.lockfile_text import registries
from prefect_uv.settings.pip_variables import without_indexes


def environ_for_lock_check(project: LockedProject, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The variables with which uv checks the lock: pip's indexes are left out unless the lock was made with them."""
    locks = (content for name, content in project.inputs if name.endswith(".lock"))
    locked = {address for lock in locks for address in registries(decode_text(project.lock, lock))}
    available = {address for name in INDEX_VARIABLES if name in environ for address in _addresses(environ[name])}
    return environ if locked <= available else without_indexes(environ)


def _addresses(value: str) -> list[str]:
    """The addresses in a list such as `name=address address`, without names and credentials."""
    return [re.sub(r"^[^:]*=", "", without_credentials(word)) for word in value.split()]
