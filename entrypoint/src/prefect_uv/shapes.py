"""The shape of a document that others wrote, in JSON or TOML, and what is wrong with one that looks different.

A shape is a type, a pattern that a string must match completely, a mapping from fields to shapes in which other fields
may be present, too (`...` stands for every field), a list with the shape of its items, or a tuple of alternatives. None
as an alternative also stands for a field that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

TEXT_OR_NONE = (str, None)
JSON_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "missing"}


def mismatch(document: Any, shape: Any, place: str = "the answer") -> str:
    """What differs from the shape first, such as `name is a number`; empty if nothing does."""
    alternatives = shape if isinstance(shape, tuple) else (shape,)
    if document is None and None in alternatives:
        return ""
    for alternative in alternatives:
        if isinstance(alternative, dict) and isinstance(document, dict):
            fields = dict.fromkeys(document, alternative[...]) if ... in alternative else alternative
            return _first(mismatch(document.get(name), field, name) for name, field in fields.items())
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
