"""Parsers of settings.

Each takes the text of a variable and returns the value. For invalid text it raises ValueError with the rest of a
sentence that starts with the variable: `is not a whole number`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import UUID

from prefect_uv.urls import Origin

LARGEST_NUMBER = 999_999_999
MOST_SECONDS = 1_000_000.0
HTTP_PATH = re.compile(r"[!-~]*")
TRUE = {"1", "true", "t", "yes", "y", "on"}
FALSE = {"0", "false", "f", "no", "n", "off"}
RECORD_WORDS = {"stderr", "artifact", "no-spans"}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SPACED = re.compile(r"\s*(===|[~=!<>]=|[<>@,])\s*")


def boolean(text: str) -> bool:
    """A boolean, in any spelling that Prefect or uv accepts; an unknown word is an error and never False.

    Prefect 3.8.8: https://docs.pydantic.dev/latest/api/standard_library_types/#booleans
    uv 0.13.8: https://docs.rs/clap/latest/clap/builder/struct.BoolishValueParser.html
    """
    if text.lower() not in TRUE | FALSE:
        message = "is not a boolean (true or false)"
        raise ValueError(message)
    return text.lower() in TRUE


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a parser that accepts only these words."""

    def parse(text: str) -> str:
        if text not in allowed:
            message = f"is not one of {', '.join(allowed)}"
            raise ValueError(message)
        return text

    return parse


def behavior_on_sigterm(text: str) -> str:
    """`reschedule` or `relinquish` in any case, else an empty text.

    Prefect 3.8.8, _termination_intent, ignores other words too: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/cli/flow_run.py
    """
    return text.lower() if text.lower() in {"reschedule", "relinquish"} else ""


def uuid(text: str) -> str:
    """A UUID in its canonical form."""
    try:
        return str(UUID(text))
    except ValueError:
        message = "is not a UUID"
        raise ValueError(message) from None


def whole_number(text: str) -> int:
    """An integer from 0 to LARGEST_NUMBER."""
    if not text.isdecimal() or len(text) > len(str(LARGEST_NUMBER)):
        message = f"is not a whole number up to {LARGEST_NUMBER}"
        raise ValueError(message)
    return int(text)


def seconds(text: str) -> float:
    """A duration in seconds, more than 0; more than MOST_SECONDS, or `inf`, is MOST_SECONDS."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        message = "is not a number of seconds"
        raise ValueError(message)
    return min(value, MOST_SECONDS)


def url(text: str) -> str:
    """An http(s) URL, without its trailing slash."""
    if not text.startswith(("http://", "https://")):
        message = "does not start with http:// or https://"
        raise ValueError(message)
    try:
        valid = Origin.of(text) and HTTP_PATH.fullmatch(urlsplit(text).path)
    except ValueError:
        valid = None
    if not valid:
        message = "is not a valid URL"
        raise ValueError(message)
    return text.rstrip("/")


def addresses(text: str) -> tuple[str, ...]:
    """Addresses with a scheme and without a login, separated by spaces or commas."""
    items = tuple(re.split(r"[\s,]+", text.strip(" ,\n")))
    if wrong := next((item for item in items if "://" not in item or "@" in item), None):
        message = f"has {wrong!r}, which is no address such as https://packages.example.com/simple, without a login"
        raise ValueError(message)
    return items


def public_url(text: str) -> str:
    """An http(s) URL without a login, because it becomes an argument of a command."""
    if "@" in urlsplit(url(text)).netloc:
        message = "has a login: put it into a netrc file"
        raise ValueError(message)
    return url(text)


def api_key(text: str) -> str:
    """A key that HTTP can send in a header."""
    if not _fits_into_header(text):
        message = "has characters that an HTTP header cannot send: it must be printable ASCII"
        raise ValueError(message)
    return text


def _fits_into_header(text: str) -> bool:
    """Whether it is printable ASCII without surrounding white space, which is all that Prefect can send.

    Prefect 3.8.8 sends it with httpx, which encodes header values as ASCII, and h11, which refuses control characters
    and surrounding white space with a message that has the value: https://h11.readthedocs.io/en/latest/api.html#events
    """
    return text.isascii() and text.isprintable() and text == text.strip()


def headers(text: str) -> dict[str, str]:
    """HTTP headers as a JSON object of strings."""
    message = "is not a JSON object of strings"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(message) from None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError(message)
    fit = (name for name, item in value.items() if _HEADER_NAME.fullmatch(name) and _fits_into_header(item))
    if unfit := value.keys() - set(fit):
        message = f"has the header {min(unfit)!r}, whose name or value HTTP cannot send: is there a line break in it?"
        raise ValueError(message)
    return value


def size(text: str) -> int:
    """A number of bytes; `500M`, `20G` and `1.5T` are in powers of 1024."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([KMGT]?)i?B?", text, re.IGNORECASE)
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
    """Names of groups or extras, separated by commas or spaces; an option of uv is invalid."""
    words = tuple(re.split(r"[\s,]+", text.strip(" ,\n")))
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) for name in words):
        message = "is not a list of names such as `etl,ml`"
        raise ValueError(message)
    return words


def words(text: str) -> tuple[str, ...]:
    """The words of a command, which a shell would read the same; no variable is expanded."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        message = f"is not a command: {error}"
        raise ValueError(message) from None


def paths(text: str) -> tuple[str, ...]:
    """Paths, separated by commas or line breaks."""
    return tuple(path for part in re.split(r"[,\n]", text) if (path := part.strip()))


def record_places(text: str) -> tuple[str, ...]:
    """Words for where a record goes, and paths, which have a slash, separated by commas."""
    places = tuple(place for part in text.split(",") if (place := part.strip()))
    if wrong := next((place for place in places if place not in RECORD_WORDS and "/" not in place), None):
        message = f"has {wrong!r}, which is none of {', '.join(sorted(RECORD_WORDS))} and no path with a slash"
        raise ValueError(message)
    return places


def package_list(text: str) -> tuple[str, ...]:
    """Requirements separated by spaces, as Prefect's own image reads them, or one per line.

    A list in brackets is accepted too, because a worker passes on a Prefect Variable that is a list as its `str`.

    Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/scripts/entrypoint.sh (EXTRA_PIP_PACKAGES)
    Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/workers/base.py (_coerce_env)
    """
    if text.lstrip().startswith("["):
        return requirements(_evaluated(text))
    stripped = [line.strip() for line in text.splitlines()]
    lines = [line for line in stripped if line and not line.startswith("#")]
    return requirements(lines if len(lines) > 1 else _words("".join(lines)))


def requirements(value: object) -> tuple[str, ...]:
    """A list of strings, each a requirement; an option of pip is invalid, and empty strings are dropped."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = "is not a list of strings"
        raise ValueError(message)
    if option := next((item for item in value if item.lstrip().startswith("-")), None):
        message = f"has the option {option}, but may only list packages"
        raise ValueError(message)
    return tuple(item.strip() for item in value if item.strip())


def _words(line: str) -> list[str]:
    """The requirements on a single line: just one if it has a marker; spaces around an operator do not separate."""
    line = re.split(r"\s#", line)[0]
    return [line] if ";" in line else shlex.split(_SPACED.sub(r"\1", line))


def _evaluated(text: str) -> object:
    """The value of a Python literal; None if the text is not one."""
    import ast  # noqa: PLC0415 (rarely needed)

    try:
        return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # all of which it documents
        return None
