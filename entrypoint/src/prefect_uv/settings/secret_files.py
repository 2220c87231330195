"""Secrets from mounted files: `<VARIABLE>_FILE` names a file whose content is the variable's value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

API_SECRETS = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")
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
    """The values from files, by the variable that they stand for; uv's own variables that end so are none of ours."""
    found = {}
    for name, path in environ.items():
        variable = name.removesuffix(SUFFIX)
        if name == variable or not path or not _is_ours(variable):
            continue
        try:
            if environ.get(variable):
                mistakes.append(f"{variable} and {name} are both set")
            found[variable] = _content(Path(path))
        except ValueError as error:
            mistakes.append(f"{name}={path} {error}")
    return found


def with_secrets(environ: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """The environment with contents in the place of the names of their files."""
    kept = {name: value for name, value in environ.items() if name.removesuffix(SUFFIX) not in found}
    return {**kept, **found}


def _is_ours(variable: str) -> bool:
    return variable in {*API_SECRETS, *INDEX_SECRETS} or bool(_CREDENTIAL.fullmatch(variable))


def _content(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except OSError as error:
        message = f"cannot be read ({error.strerror})"
        raise ValueError(message) from None
    except UnicodeDecodeError:
        message = "is not a text"
        raise ValueError(message) from None
    if not text or "\0" in text:
        message = "is not a text" if text else "is empty"
        raise ValueError(message)
    return text
