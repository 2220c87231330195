"""Declaring a setting, with its variable, parser, default and documentation, and reading it from the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, field
from typing import Any


def setting(  # noqa: PLR0913 (one declaration says everything about a setting)
    name: str,
    parse: Callable[[str], Any],
    default: Any,
    text: str,
    *,
    also: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    """Declare a setting.

    Args:
        name: its environment variable.
        parse: makes the value from the variable's text, or raises ValueError with the rest of a sentence about it.
        default: the value if no variable is set, or only to an empty text.
        text: its description in the documentation.
        also: variables that are read, in this order, if `name` is not set.
        secret: its value must not be shown.
    """
    metadata = {"names": (name, *also), "parse": parse, "help": text, "secret": secret}
    return field(default=default, metadata=metadata, repr=not secret)


def read_setting(declared: Field[Any], environ: Mapping[str, str], values: dict[str, Any], mistakes: list[str]) -> None:
    """Add a setting to `values` if it is set, or a line to `mistakes` if it is invalid, which never shows a secret."""
    name = next((name for name in declared.metadata["names"] if environ.get(name)), None)
    if name is None:
        return
    try:
        values[declared.name] = declared.metadata["parse"](environ[name])
    except ValueError as error:
        shown = name if declared.metadata["secret"] else f"{name}={environ[name]}"
        mistakes.append(f"{shown} {error}")
