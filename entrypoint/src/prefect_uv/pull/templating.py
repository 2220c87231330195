"""Placeholders in the inputs of pull steps, resolved as Prefect 3.8.8 does (`prefect/utilities/templating`).

The order is Prefect's: outputs of earlier steps and `{{ $ENV }}`, then blocks, then variables, then the environment.
Each pass replaces in one go, so that an inserted value is not looked at again in the same pass (Prefect 3.9).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from prefect_uv.api.client import NotFoundError
from prefect_uv.errors import PullStepError
from prefect_uv.log.mask import Mask

PLACEHOLDER = re.compile(r"{{\s*([\w.\-\[\]$]+)\s*}}")
BLOCK, VARIABLE, ENVIRONMENT = "prefect.blocks.", "prefect.variables.", "$"
MISSING: Any = object()
REMOVED: Any = object()
SLUG_AND_NAME = 2

Lookup = Callable[[str], Any]


class Values(Protocol):
    """Where blocks and variables are read."""

    def block(self, type_slug: str, name: str) -> dict[str, Any]:
        """A block document by its type's slug and its name, secrets included."""

    def block_by_id(self, document_id: str) -> dict[str, Any]:
        """A block document by its id, secrets included."""

    def variable(self, name: str) -> Any:
        """A variable's value."""


def resolve_placeholders(
    inputs: dict[str, Any], outputs: Mapping[str, Any], environ: Mapping[str, str], blocks: Blocks
) -> Any:
    """The inputs of a step with all placeholders resolved.

    Raises:
        PullStepError: a block does not exist, or has no such key.
    """
    inputs = _replace(inputs, lambda name: _value(name, outputs, environ))
    inputs = _replace(blocks.references(inputs), blocks.placeholder)
    inputs = _replace(inputs, blocks.variable)
    return _replace(inputs, lambda name: _value(name, environ, environ))


def _value(name: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    """An output or a variable of the environment; MISSING leaves blocks and variables for their own pass."""
    if name.startswith((BLOCK, VARIABLE)):
        return MISSING
    if name.startswith(ENVIRONMENT):
        return environ.get(name.lstrip(ENVIRONMENT), "")
    value = dig(values, name)
    return REMOVED if value is MISSING else value


def dig(values: Any, path: str) -> Any:
    """The value at `a.b[0].c`, or MISSING; a number is an index or nothing, as in Prefect."""
    for part in path.replace("[", ".").replace("]", "").split("."):
        key: Any = int(part) if re.fullmatch(r"[+-]?\d+", part) else part
        try:
            values = values[key]
        except (TypeError, KeyError, IndexError):
            return MISSING
    return values


def _replace(template: Any, lookup: Lookup) -> Any:
    """Replace placeholders in strings of dictionaries and lists, at any depth; keys are no templates.

    Args:
        template: any JSON value.
        lookup: the value for a name; MISSING leaves the placeholder, REMOVED drops it, with its key or item.
    """
    if isinstance(template, dict):
        replaced = {key: _replace(value, lookup) for key, value in template.items()}
        return {key: value for key, value in replaced.items() if value is not REMOVED}
    if isinstance(template, list):
        return [value for item in template if (value := _replace(item, lookup)) is not REMOVED]
    if not isinstance(template, str):
        return template
    if whole := PLACEHOLDER.fullmatch(template):
        value = lookup(whole[1])
        return template if value is MISSING else value
    return PLACEHOLDER.sub(lambda match: _embedded(match, lookup), template)


def _embedded(match: re.Match[str], lookup: Lookup) -> str:
    value = lookup(match[1])
    if value is MISSING:
        return match[0]
    if isinstance(value, dict | list) and match[1].startswith(BLOCK):
        message = f"The block placeholder {match[0]} is not a text and cannot stand within one."
        raise PullStepError(message, hint="Name one of its values, as `….value` or `….url`.")
    return "" if value is REMOVED else str(value)


class Blocks:
    """Blocks and variables of the API, each read once; their secret values are masked from then on."""

    def __init__(self, source: Values | None, mask: Mask) -> None:
        self._source = source
        self._mask = mask
        self._read: dict[tuple[str, ...], Any] = {}

    def placeholder(self, name: str) -> Any:
        """The value of `prefect.blocks.<type>.<name>[.<key path>]`; MISSING for other names."""
        if not name.startswith(BLOCK):
            return MISSING
        parts = name.replace(BLOCK, "").split(".", SLUG_AND_NAME)
        if len(parts) < SLUG_AND_NAME:
            message = f"The placeholder {name} names no block."
            raise PullStepError(message, hint="Write prefect.blocks.<block type>.<block name>.")
        slug, block, *path = parts
        data = self.data(slug, block)
        whole = set(data) != {"value"} or bool(path and re.match(r"value($|[.\[])", path[0]))
        value = data if whole else data["value"]
        value = dig(value, path[0]) if path else value
        if value is MISSING:
            message = f"The block {slug}/{block} has no {path[0]}."
            raise PullStepError(message, f"The placeholder is {name}.")
        return value

    def variable(self, name: str) -> Any:
        """The value of `prefect.variables.<name>`, empty when there is none; MISSING for other names."""
        if not name.startswith(VARIABLE):
            return MISSING
        variable = name.replace(VARIABLE, "")
        try:
            return self._once("variable", variable, read=lambda source: source.variable(variable))
        except NotFoundError:
            return ""

    def references(self, template: Any) -> Any:
        """`{"$ref": {"block_document_id": …}}` replaced by the document's data, at any depth."""
        if isinstance(template, list):
            return [self.references(item) for item in template]
        if not isinstance(template, dict):
            return template
        reference = template.get("$ref")
        if isinstance(reference, dict) and reference.get("block_document_id"):
            return self.document(str(reference["block_document_id"]))["data"]
        return {key: self.references(value) for key, value in template.items()}

    def data(self, slug: str, name: str) -> dict[str, Any]:
        """The data of a block by type and name."""
        return self._document(f"{slug}/{name}", lambda source: source.block(slug, name))["data"]  # type: ignore[no-any-return]

    def document(self, document_id: str) -> dict[str, Any]:
        """A block document by its id."""
        return self._document(document_id, lambda source: source.block_by_id(document_id))

    def _document(self, name: str, read: Callable[[Values], dict[str, Any]]) -> dict[str, Any]:
        try:
            document: dict[str, Any] = self._once("block", name, read=read)
        except NotFoundError:
            message = f"There is no block {name}."
            raise PullStepError(message, hint="It was deleted or renamed: create it, or correct the step.") from None
        self._mask.add(*_secrets(document))
        return document

    def _once(self, *key: str, read: Callable[[Values], Any]) -> Any:
        if self._source is None:
            raise NotFoundError
        if key not in self._read:
            self._read[key] = read(self._source)
        return self._read[key]


def _secrets(document: Mapping[str, Any]) -> Iterator[str]:
    """Every text below a field that the block's schema calls secret, or all of them where there is no schema."""
    fields = (document.get("block_schema") or {}).get("fields") or {}
    secret = {str(path).partition(".")[0] for path in fields.get("secret_fields", ["*"])}
    for key, value in document["data"].items():
        if key in secret or "*" in secret:
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
