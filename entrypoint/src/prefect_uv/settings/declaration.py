"""How one setting is declared and read: its variable, parser, default and sentence."""

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
    """Declare one setting; the first variable of `name` and `also` that is set and not empty counts."""
    metadata = {"names": (name, *also), "parse": parse, "help": text, "secret": secret}
    return field(default=default, metadata=metadata, repr=not secret)


def read_setting(item: Field[Any], environ: Mapping[str, str], values: dict[str, Any], mistakes: list[str]) -> None:
    """Add a setting's value, or the mistake in it; a secret is named without its value."""
    name = next((name for name in item.metadata["names"] if environ.get(name)), None)
    if name is None:
        return
    try:
        values[item.name] = item.metadata["parse"](environ[name])
    except ValueError as error:
        shown = name if item.metadata["secret"] else f"{name}={environ[name]}"
        mistakes.append(f"{shown} {error}")
