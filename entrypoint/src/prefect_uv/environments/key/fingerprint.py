"""The fingerprint: one name for all raw inputs, from reading them; neither uv nor the network is asked.

A known fingerprint leads to an environment at once; an unknown one costs a question to uv (see `contents`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prefect_uv.cache_volume.cache_directory import LAYOUT
from prefect_uv.environments.uv.uv_command import OURS
from prefect_uv.image_facts import Image
from prefect_uv.log.mask import USERINFO
from prefect_uv.project import Project
from prefect_uv.project.files.requirements_files import Requirements

Field = bytes | str

NEUTRAL = OURS | {
    "UV_CACHE_DIR",
    "UV_COMPILE_BYTECODE",
    "UV_CONCURRENT_BUILDS",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CONCURRENT_INSTALLS",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_LOCK_TIMEOUT",
    "UV_NATIVE_TLS",
    "UV_NETRC",
    "UV_NO_PROGRESS",
    "UV_NO_WRAP",
    "UV_OFFLINE",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_INSTALL_DIR",
    "UV_SYSTEM_CERTS",
}
NEUTRAL_NAME = re.compile(r"UV_(?:.+_)?(?:USERNAME|PASSWORD|TOKEN|URL_MIRROR)|UV_(?:PUBLISH|TOOL|RUN|LOG|ENV)_.+")
INDEX_VARIABLES = {
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX_STRATEGY",
}
LIMIT_VARIABLES = {"UV_CONSTRAINT", "UV_EXCLUDE", "UV_OVERRIDE"}
FILE_VARIABLES = {*LIMIT_VARIABLES, "UV_BUILD_CONSTRAINT"}
RESOLVING = INDEX_VARIABLES | LIMIT_VARIABLES
PYTHONS = {
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "UV_PYTHON",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
    "UV_PYTHON_INSTALL_MIRROR",
    "UV_PYTHON_PREFERENCE",
}
TOOL_SETTINGS = (
    "build-constraint-dependencies",
    "config-settings",
    "config-settings-package",
    "extra-build-dependencies",
    "extra-build-variables",
    "no-binary",
    "no-binary-package",
    "no-build",
    "no-build-isolation",
    "no-build-isolation-package",
    "no-build-package",
)


def digest_fields(fields: Iterable[Field]) -> str:
    """SHA-256 over length-separated fields: no two different lists of fields look alike."""
    hasher = hashlib.sha256()
    for field in fields:
        data = field.encode() if isinstance(field, str) else field
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.hexdigest()


def fingerprint(fields: Iterable[Field], image: Image, environ: Mapping[str, str], directory: Path) -> str:
    """The name of a source's raw inputs, with uv's settings and variables, interpreter and platform."""
    ground = [LAYOUT, image.uv_minor, image.python, image.python_version, image.platform]
    outside = [field for entry in uv_configuration(environ, directory) for field in entry]
    return digest_fields([*ground, *fields, *outside, *uv_variables(environ, directory)])


def project_fields(project: Project) -> list[Field]:
    """A project's raw inputs: which Python and which member of it, and its files as they are."""
    fields: list[Field] = [project.python_request, os.path.relpath(project.directory, project.root)]
    return [*fields, *(field for entry in project.inputs for field in entry)]


def uv_variables(environ: Mapping[str, str], directory: Path, *, indexes: bool = True) -> list[str]:
    """uv's variables that can change a result, files by what they say.

    Indexes and limits decide what is resolved, and requests which Python is taken: the result is known by itself.
    """
    left_out = NEUTRAL if indexes else NEUTRAL | RESOLVING | PYTHONS
    return [
        f"{name}={without_credentials(value)}{_said(value, directory, environ) if name in FILE_VARIABLES else ''}"
        for name, value in sorted(environ.items())
        if name.startswith("UV_") and name not in left_out and not NEUTRAL_NAME.fullmatch(name)
    ]


def uv_configuration(environ: Mapping[str, str], directory: Path) -> list[tuple[str, bytes]]:
    """The files outside the project that uv, started in a directory, reads its settings from.

    The user's, and the first of the system's; or one that is named instead (tried with uv 0.13.8).
    """
    own = environ.get("UV_CONFIG_FILE")
    home = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME', '/nonexistent')}/.config"
    system = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    user, *others = (Path(place, "uv", "uv.toml") for place in (home, *system, "/etc"))
    first = next(filter(Path.is_file, others), user)
    places = [directory / own] if own else dict.fromkeys((user, first))
    return [(str(place), place.read_bytes()) for place in places if place.is_file()]


def tool_settings(project: Project, environ: Mapping[str, str]) -> list[str]:
    """The settings in the project's and uv's files that make another environment of the same lock."""
    files = dict.fromkeys(filter(None, (project.root / "pyproject.toml", project.uv_configuration)))
    own = [(str(file), file.read_bytes()) for file in files if file.is_file()]
    tables = [_table(name, content) for name, content in [*own, *uv_configuration(environ, project.directory)]]
    settings = ((setting, table[setting]) for table in tables for setting in TOOL_SETTINGS if table.get(setting))
    return sorted(f"{setting}={_canonical(value)}" for setting, value in settings)


def without_credentials(text: str) -> str:
    """A text without what stands before the `@` of its addresses."""
    return USERINFO.sub("", text)


def _said(value: str, directory: Path, environ: Mapping[str, str]) -> str:
    """The short digest of files and of what they include; an address among them is only known by its name."""
    files = filter(Path.is_file, (directory / place for place in value.split()))
    return f" ({digest_fields(content for _, content in Requirements.read(directory, files, environ).inputs)[:12]})"


def _table(name: str, content: bytes) -> Mapping[str, Any]:
    document = tomllib.loads(content.decode("utf-8-sig"))
    return document.get("tool", {}).get("uv", {}) if name.endswith("pyproject.toml") else document


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
