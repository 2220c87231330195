"""Fingerprint (of the raw inputs) and key (of what is installed): two hashes that name an environment.

An unknown fingerprint costs a question to uv, an unknown key a build.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from prefect_uv.image import Image
from prefect_uv.project import Project

LAYOUT = "v1"
NEUTRAL = {
    "UV_CACHE_DIR",
    "UV_CONCURRENT_BUILDS",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CONCURRENT_INSTALLS",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_LINK_MODE",
    "UV_LOCK_TIMEOUT",
    "UV_NATIVE_TLS",
    "UV_NETRC",
    "UV_NO_PROGRESS",
    "UV_OFFLINE",
    "UV_SYSTEM_CERTS",
}
INDEXES = {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_STRATEGY"}
_CREDENTIALS = re.compile(r"UV_INDEX_.+_(USERNAME|PASSWORD)")
_USERINFO = re.compile(r"(?<=://)[^\s/@]+@")


def digest(fields: Iterable[bytes | str]) -> str:
    """SHA-256 over length-separated fields: no two different lists of fields look alike."""
    hasher = hashlib.sha256()
    for field in fields:
        data = field.encode() if isinstance(field, str) else field
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.hexdigest()


def fingerprint(
    project: Project, image: Image, selection: Iterable[str], environ: Mapping[str, str], policy: str
) -> str:
    """The name of the raw inputs: files as they are, selection, uv's variables, interpreter and platform."""
    fields: list[bytes | str] = [LAYOUT, policy, image.uv_minor, image.python, image.python_version, image.platform]
    fields += [project.python_request, str(project.directory.relative_to(project.root)), *selection]
    for name, content in project.inputs:
        fields += [name, content]
    return digest([*fields, *_settings(environ, indexes=True)])


def key(requirements: str, python: str, image: Image, environ: Mapping[str, str]) -> str:
    """The name of what is installed: the exported requirements with their hashes, on this interpreter and platform."""
    fields = [LAYOUT, image.uv_minor, python, image.python_version, image.platform, requirements]
    return digest([*fields, *_settings(environ, indexes=False)])


def _settings(environ: Mapping[str, str], *, indexes: bool) -> list[str]:
    """uv's variables that can change a result; where an index is only decides what is locked, not what is installed."""
    left_out = NEUTRAL if indexes else NEUTRAL | INDEXES
    return [
        f"{name}={_USERINFO.sub('', value)}"
        for name, value in sorted(environ.items())
        if name.startswith("UV_") and name not in left_out and not _CREDENTIALS.fullmatch(name)
    ]
