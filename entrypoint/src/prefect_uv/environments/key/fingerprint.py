"""The fingerprint: a hash of all raw inputs, computed by reading files, without uv and without the network.

A known fingerprint leads straight to an environment; for an unknown one, uv is asked (see `environment_contents`).

uv 0.13.8: its variables and settings, as listed here by name. https://docs.astral.sh/uv/reference/environment/
https://docs.astral.sh/uv/reference/settings/
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
from prefect_uv.environments.uv.configuration_files import uv_configuration_files
from prefect_uv.environments.uv.uv_command import CONTROLLED_VARIABLES
from prefect_uv.image_facts import Image
from prefect_uv.project import Project
from prefect_uv.project.files.requirements_files import Requirements
from prefect_uv.urls import USERINFO

Field = bytes | str

NEUTRAL_VARIABLES = CONTROLLED_VARIABLES | {
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
    "UV_MALWARE_CHECK",
    "UV_MALWARE_CHECK_URL",
    "UV_NATIVE_TLS",
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
RESOLUTION_VARIABLES = INDEX_VARIABLES | LIMIT_VARIABLES
PYTHON_VARIABLES = {
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
    """SHA-256 over fields with their lengths, so that different lists of fields have different digests."""
    hasher = hashlib.sha256()
    for field in fields:
        data = field.encode() if isinstance(field, str) else field
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.hexdigest()


def fingerprint(fields: Iterable[Field], image: Image, environ: Mapping[str, str], directory: Path) -> str:
    """The fingerprint of a source.

    Args:
        fields: the source's raw inputs.
        image: the image's uv, interpreter and platform count.
        environ: uv's variables count.
        directory: where uv runs, from which it finds its configuration files.
    """
    facts = [LAYOUT, image.uv_minor, image.python, image.python_version, image.platform]
    configuration = [field for file in uv_configuration_files(environ, directory) for field in file]
    return digest_fields([*facts, *fields, *configuration, *uv_variables(environ, directory)])


def project_fields(project: Project) -> list[Field]:
    """A project's raw inputs: the requested Python, its directory below the root, and its files byte for byte."""
    fields: list[Field] = [project.python_request, os.path.relpath(project.directory, project.root)]
    return [*fields, *(field for entry in project.inputs for field in entry)]


def uv_variables(environ: Mapping[str, str], directory: Path, *, indexes: bool = True) -> list[str]:
    """uv's variables that can change a result, with the contents of the files that they name.

    Args:
        environ: all variables.
        directory: where relative file names start.
        indexes: include the variables that decide what is resolved and which Python is chosen. A key leaves them out,
            because it contains the packages and the interpreter themselves.
    """
    excluded = NEUTRAL_VARIABLES if indexes else NEUTRAL_VARIABLES | RESOLUTION_VARIABLES | PYTHON_VARIABLES
    return [
        f"{name}={without_credentials(value)}"
        f"{_contents_digest(value, directory, environ) if name in FILE_VARIABLES else ''}"
        for name, value in sorted(environ.items())
        if name.startswith("UV_") and name not in excluded and not NEUTRAL_NAME.fullmatch(name)
    ]


def tool_settings(project: Project, environ: Mapping[str, str]) -> list[str]:
    """The settings in the project's and uv's files that change how the same packages are installed, sorted."""
    files = dict.fromkeys(filter(None, (project.root / "pyproject.toml", project.uv_configuration)))
    own = [(str(file), file.read_bytes()) for file in files if file.is_file()]
    outside = uv_configuration_files(environ, project.directory)
    tables = [_uv_table(name, content) for name, content in [*own, *outside]]
    settings = ((setting, table[setting]) for table in tables for setting in TOOL_SETTINGS if table.get(setting))
    return sorted(f"{setting}={_canonical(value)}" for setting, value in settings)


def without_credentials(text: str) -> str:
    """A text without user names and passwords in its addresses."""
    return USERINFO.sub("", text)


def _contents_digest(value: str, directory: Path, environ: Mapping[str, str]) -> str:
    """A short digest of the files that a variable names, with what they include; addresses count by name only."""
    files = filter(Path.is_file, (directory / name for name in value.split()))
    return f" ({digest_fields(content for _, content in Requirements.read(directory, files, environ).inputs)[:12]})"


def _uv_table(name: str, content: bytes) -> Mapping[str, Any]:
    document = tomllib.loads(content.decode("utf-8-sig"))
    return document.get("tool", {}).get("uv", {}) if name.endswith("pyproject.toml") else document


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
