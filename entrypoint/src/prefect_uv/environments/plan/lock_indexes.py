"""The indexes that a lock names, and those that a container has: only the same ones may judge the lock.

`uv export --locked` with other indexes than the lock was made with resolves anew and refuses a good lock, also for a
mere slash at the end of an address; without any index among its variables uv asks nothing (0.13.8, ADR 0014).
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
    """The environment in which uv judges the lock: pip's indexes are in it when the lock was made with them."""
    locks = (content for name, content in project.inputs if name.endswith(".lock"))
    named = {address for lock in locks for address in registries(decode_text(project.lock, lock))}
    own = {address for name in INDEX_VARIABLES if name in environ for address in _addresses(environ[name])}
    return environ if named <= own else without_indexes(environ)


def _addresses(value: str) -> list[str]:
    """Of a list as `name=address address`, without credentials."""
    return [re.sub(r"^[^:]*=", "", without_credentials(word)) for word in value.split()]
