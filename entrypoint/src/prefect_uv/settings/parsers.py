"""Values of settings from their texts; what cannot be read raises ValueError, with the end of a sentence about it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from uuid import UUID

TRUE = {"1", "true", "t", "yes", "y", "on"}
FALSE = {"0", "false", "f", "no", "n", "off"}
_SPACED = re.compile(r"\s*(===|[~=!<>]=|[<>@,])\s*")


def boolean(text: str) -> bool:
    """A boolean as Prefect and uv write it; anything else is a mistake, never False."""
    if text.lower() not in TRUE | FALSE:
        message = "is not a boolean (true or false)"
        raise ValueError(message)
    return text.lower() in TRUE


def choice(*allowed: str) -> Callable[[str], str]:
    """A parser for one of a few words."""

    def parse(text: str) -> str:
        if text not in allowed:
            message = f"is not one of {', '.join(allowed)}"
            raise ValueError(message)
        return text

    return parse


def sigterm_behavior(text: str) -> str:
    """`reschedule` or `relinquish` in any case; anything else is the default, as Prefect reads it."""
    return text.lower() if text.lower() in {"reschedule", "relinquish"} else ""


def uuid(text: str) -> str:
    """A UUID in its canonical form."""
    try:
        return str(UUID(text))
    except ValueError:
        message = "is not a UUID"
        raise ValueError(message) from None


def whole_number(text: str) -> int:
    """A number of things: 0 or more."""
    if not text.isdecimal():
        message = "is not a whole number"
        raise ValueError(message)
    return int(text)


def seconds(text: str) -> float:
    """A time in seconds, more than 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        message = "is not a number of seconds"
        raise ValueError(message)
    return value


def url(text: str) -> str:
    """An http(s) address without its trailing slash."""
    if not text.startswith(("http://", "https://")):
        message = "does not start with http:// or https://"
        raise ValueError(message)
    return text.rstrip("/")


def headers(text: str) -> dict[str, str]:
    """HTTP headers as a JSON object of strings."""
    message = "is not a JSON object of strings"
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError(message) from None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError(message)
    return value


def size(text: str) -> int:
    """A number of bytes, also as 500M, 20G or 1.5T (powers of 1024)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text, re.IGNORECASE)
    if match is None:
        message = "is not a size such as 20G"
        raise ValueError(message)
    return int(float(match[1]) * 1024 ** " KMGT".find(match[2].upper() or " "))


def uids(text: str) -> tuple[int, ...]:
    """User ids, separated by commas."""
    try:
        return tuple(int(uid) for uid in text.split(",") if uid.strip())
    except ValueError:
        message = "is not a list of user ids"
        raise ValueError(message) from None


def status_codes(text: str) -> tuple[int, ...]:
    """HTTP status codes, separated by commas."""
    try:
        return tuple(int(code) for code in text.split(",") if code.strip())
    except ValueError:
        message = "is not a list of HTTP status codes"
        raise ValueError(message) from None


def names(text: str) -> tuple[str, ...]:
    """Names of groups or extras, separated by commas or spaces; options of uv are a mistake."""
    found = tuple(re.split(r"[\s,]+", text.strip(" ,\n")))
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) for name in found):
        message = "is not a list of names (as `etl,ml`)"
        raise ValueError(message)
    return found


def paths(text: str) -> tuple[str, ...]:
    """Paths, separated by commas or lines."""
    return tuple(path for part in re.split(r"[,\n]", text) if (path := part.strip()))


def package_list(text: str) -> tuple[str, ...]:
    """Requirements as pip writes them: by spaces, as Prefect's image splits them, or one on each line.

    A list in brackets is one too: that is what a worker of Prefect 3.8.8 makes of a Prefect Variable that is a list
    (`str` of it, `prefect/workers/base.py`).
    """
    if text.lstrip().startswith("["):
        return requirements(_literal(text))
    stripped = [line.strip() for line in text.splitlines()]
    lines = [line for line in stripped if line and not line.startswith("#")]
    return requirements(lines if len(lines) > 1 else _words("".join(lines)))


def requirements(found: object) -> tuple[str, ...]:
    """A list of requirements, one in each text; options are a mistake."""
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        message = "is not a list of texts"
        raise ValueError(message)
    if option := next((item for item in found if item.lstrip().startswith("-")), None):
        message = f"has the option {option}, and only packages are installed from it"
        raise ValueError(message)
    return tuple(item.strip() for item in found if item.strip())


def _words(line: str) -> list[str]:
    """A single line: a marker makes it one requirement, and spaces around an operator separate nothing."""
    line = re.split(r"\s#", line)[0]
    return [line] if ";" in line else shlex.split(_SPACED.sub(r"\1", line))


def _literal(text: str) -> object:
    import ast  # noqa: PLC0415 (few need it)

    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return None
