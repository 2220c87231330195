"""The documents of the API that we read, as far as we read them, and what is wrong with one that looks different.

A shape is a type, a pattern that a string must match completely, a mapping from fields to shapes in which other fields
may be present, too, a list with the shape of its items, or a tuple of alternatives. None as an alternative also stands
for a field that is missing.

Prefect 3.8.8: https://docs.prefect.io/v3/api-ref/rest-api
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

TEXT_OR_NONE = (str, None)
STATE = {
    "id": TEXT_OR_NONE,
    "type": TEXT_OR_NONE,
    "name": TEXT_OR_NONE,
    "state_details": ({"deployment_concurrency_lease_id": TEXT_OR_NONE}, None),
}
FLOW_RUN = {"name": str, "deployment_id": TEXT_OR_NONE, "state": (STATE, None)}
DEPLOYMENT = {
    "entrypoint": TEXT_OR_NONE,
    "path": TEXT_OR_NONE,
    "pull_steps": (list, None),
    "storage_document_id": TEXT_OR_NONE,
}
BLOCK_DOCUMENT = {
    "data": dict,
    "block_schema": ({"fields": ({"secret_fields": ([str], None)}, None)}, None),
    "block_type": ({"slug": TEXT_OR_NONE}, None),
}
PREFECT_VARIABLE = {"value": object}
TRANSITION = {"state": (STATE, None)}
CSRF_ANSWER = {"token": re.compile(r"[!-~]+")}
AUTHENTICATION = {"type": str}
JSON_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "missing"}


def mismatch(document: Any, shape: Any, place: str = "the answer") -> str:
    """What differs from the shape first, such as `name is a number`; empty if nothing does."""
    alternatives = shape if isinstance(shape, tuple) else (shape,)
    if document is None and None in alternatives:
        return ""
    for alternative in alternatives:
        if isinstance(alternative, dict) and isinstance(document, dict):
            return _first(mismatch(document.get(name), field, name) for name, field in alternative.items())
        if isinstance(alternative, list) and isinstance(document, list):
            return _first(mismatch(item, alternative[0], f"an item of {place}") for item in document)
        if isinstance(document, str) and (alternative is str or isinstance(alternative, re.Pattern)):
            valid = alternative.fullmatch(document) if isinstance(alternative, re.Pattern) else is_text(document)
            return "" if valid else f"{place} has characters that it cannot have"
        if isinstance(alternative, type) and isinstance(document, alternative):
            return ""
    return f"{place} is {JSON_NAMES.get(type(document), 'a number')}"


def is_text(value: str) -> bool:
    """Whether a string can be a path or an argument; one with NUL or half a surrogate pair, as JSON allows, cannot."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _first(findings: Iterable[str]) -> str:
    return next(filter(None, findings), "")
