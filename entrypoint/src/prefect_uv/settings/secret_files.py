"""Secrets from mounted files: `<VARIABLE>_FILE` names a file that contains the value of the variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from prefect_uv.settings.environment_secrets import API_KEY, AUTH_STRING

API_SECRETS = (API_KEY, AUTH_STRING)
INDEX_SECRETS = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
)
SUFFIX = "_FILE"
_CREDENTIAL = re.compile(r"UV_INDEX_.+_(?:USERNAME|PASSWORD)")


def read_secret_files(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    """Read the secrets from files, by the variable that each is the value of.

    Other variables with this suffix, such as UV_CONFIG_FILE, are left alone.
    """
    file_secrets = {}
    for name, path in environ.items():
        variable = name.removesuffix(SUFFIX)
        if name == variable or not path or not _may_be_in_a_file(variable):
            continue
        try:
            if environ.get(variable):
                mistakes.append(f"{variable} and {name} are both set")
            file_secrets[variable] = _content(Path(path))
        except ValueError as error:
            mistakes.append(f"{name}={path} {error}")
    return file_secrets


def with_secrets(environ: Mapping[str, str], file_secrets: Mapping[str, str]) -> dict[str, str]:
    """The environment with the secrets themselves instead of the variables that name their files."""
    kept = {name: value for name, value in environ.items() if name.removesuffix(SUFFIX) not in file_secrets}
    return {**kept, **file_secrets}


def _may_be_in_a_file(variable: str) -> bool:
    return variable in {*API_SECRETS, *INDEX_SECRETS} or bool(_CREDENTIAL.fullmatch(variable))


def _content(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except OSError as error:
        message = f"cannot be read ({error.strerror})"
        raise ValueError(message) from None
    except UnicodeDecodeError:
        message = "is not a text file"
        raise ValueError(message) from None
    if not text or "\0" in text:
        message = "is not a text file" if text else "is empty"
        raise ValueError(message)
    return text
