"""Placeholders in the inputs of pull steps, resolved in Prefect's order and with its rules.

The order is that of run_step: outputs of earlier steps and `{{ $ENV }}`, blocks, variables, then the environment.
Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/deployments/steps/core.py
Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/utilities/templating/__init__.py

A pass never replaces within a value that it has just inserted, as in Prefect 3.9.1 (observed; 3.8.8's may).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from prefect_uv.api.json_api import NotFoundError
from prefect_uv.errors import PullStepError
from prefect_uv.log.mask import Mask

PLACEHOLDER = re.compile(r"{{\s*([\w.\-\[\]$]+)\s*}}")
BLOCK, VARIABLE, ENVIRONMENT = "prefect.blocks.", "prefect.variables.", "$"
MISSING: Any = object()
REMOVED: Any = object()
SLUG_AND_NAME = 2

Lookup = Callable[[str], Any]


class ValueSource(Protocol):
    """Reads blocks and variables; the API client is one."""

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
        PullStepError: a block does not exist, or has no value at the given path.
    """
    inputs = _replace(inputs, lambda name: _value_of(name, outputs, environ))
    inputs = _replace(blocks.resolve_references(inputs), blocks.placeholder)
    inputs = _replace(inputs, blocks.variable)
    return _replace(inputs, lambda name: _value_of(name, environ, environ))


def _value_of(name: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    """The value for a name; MISSING leaves blocks and variables to their own passes."""
    if name.startswith((BLOCK, VARIABLE)):
        return MISSING
    if name.startswith(ENVIRONMENT):
        return environ.get(name.lstrip(ENVIRONMENT), "")
    value = value_at(values, name)
    return REMOVED if value is MISSING else value


def value_at(values: Any, path: str) -> Any:
    """The value at `a.b[0].c`, or MISSING; a number is always an index, never a key.

    Prefect 3.8.8: get_from_dict, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/utilities/collections.py
    """
    for part in path.replace("[", ".").replace("]", "").split("."):
        key: Any = int(part) if re.fullmatch(r"[+-]?\d+", part) else part
        try:
            values = values[key]
        except (TypeError, KeyError, IndexError):
            return MISSING
    return values


def _replace(template: Any, lookup: Lookup) -> Any:
    """Replace placeholders in the strings of dictionaries and lists, at any depth; keys stay as they are.

    Args:
        template: any JSON value.
        lookup: returns the value for a name; MISSING keeps the placeholder, REMOVED drops it with its key or item.
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
    return PLACEHOLDER.sub(lambda match: _replace_within_text(match, lookup), template)


def _replace_within_text(match: re.Match[str], lookup: Lookup) -> str:
    value = lookup(match[1])
    if value is MISSING:
        return match[0]
    if isinstance(value, dict | list) and match[1].startswith(BLOCK):
        message = f"The placeholder {match[0]} stands for several values and cannot be part of a longer string."
        raise PullStepError(message, hint="Select one of the block's values, such as `….value` or `….url`.")
    return "" if value is REMOVED else str(value)


class Blocks:
    """Blocks and variables of the API: each is read once, and its secret values are masked from then on."""

    def __init__(self, source: ValueSource | None, mask: Mask) -> None:
        self._source = source
        self._mask = mask
        self._cache: dict[tuple[str, ...], Any] = {}

    def placeholder(self, name: str) -> Any:
        """The value of `prefect.blocks.<type>.<name>[.<path>]`; MISSING for other names.

        A block whose only field is `value` stands for that value, as in Prefect's resolve_block_document_references.
        """
        if not name.startswith(BLOCK):
            return MISSING
        parts = name.replace(BLOCK, "").split(".", SLUG_AND_NAME)
        if len(parts) < SLUG_AND_NAME:
            message = f"The placeholder {name} does not name a block."
            raise PullStepError(message, hint="Write prefect.blocks.<block type>.<block name>.")
        slug, block, *path = parts
        data = self.data(slug, block)
        is_mapping = set(data) != {"value"} or bool(path and re.match(r"value($|[.\[])", path[0]))
        value = data if is_mapping else data["value"]
        value = value_at(value, path[0]) if path else value
        if value is MISSING:
            message = f"The block {slug}/{block} has no value at {path[0]}."
            raise PullStepError(message, f"The placeholder is {name}.")
        return value

    def variable(self, name: str) -> Any:
        """The value of `prefect.variables.<name>`, empty if there is none; MISSING for other names."""
        if not name.startswith(VARIABLE):
            return MISSING
        variable = name.replace(VARIABLE, "")
        try:
            return self._read_once("variable", variable, read=lambda source: source.variable(variable))
        except NotFoundError:
            return ""

    def resolve_references(self, template: Any) -> Any:
        """Replace `{"$ref": {"block_document_id": …}}` by the document's data, at any depth."""
        if isinstance(template, list):
            return [self.resolve_references(item) for item in template]
        if not isinstance(template, dict):
            return template
        reference = template.get("$ref")
        if isinstance(reference, dict) and reference.get("block_document_id"):
            return self.document(str(reference["block_document_id"]))["data"]
        return {key: self.resolve_references(value) for key, value in template.items()}

    def data(self, slug: str, name: str) -> dict[str, Any]:
        """The data of a block by its type's slug and its name."""
        return self._document(f"{slug}/{name}", lambda source: source.block(slug, name))["data"]  # type: ignore[no-any-return]

    def document(self, document_id: str) -> dict[str, Any]:
        """A block document by its id."""
        return self._document(document_id, lambda source: source.block_by_id(document_id))

    def _document(self, name: str, read: Callable[[ValueSource], dict[str, Any]]) -> dict[str, Any]:
        try:
            document: dict[str, Any] = self._read_once("block", name, read=read)
        except NotFoundError:
            message = f"The block {name} does not exist."
            hint = "Create the block, or correct its name in the pull step."
            raise PullStepError(message, hint=hint) from None
        self._mask.add(*_secret_values(document))
        return document

    def _read_once(self, *key: str, read: Callable[[ValueSource], Any]) -> Any:
        if self._source is None:
            raise NotFoundError
        if key not in self._cache:
            self._cache[key] = read(self._source)
        return self._cache[key]


def _secret_values(document: Mapping[str, Any]) -> Iterator[str]:
    """Every string in the fields that the block's schema declares secret, or in all fields if there is no schema.

    Prefect 3.8.8: secret_fields, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/blocks/core.py
    """
    fields = (document.get("block_schema") or {}).get("fields") or {}
    paths = fields.get("secret_fields")
    secret = {path.partition(".")[0] for path in (["*"] if paths is None else paths)}
    for key, value in document["data"].items():
        if key in secret or "*" in secret:
            yield from strings_in(value)


def strings_in(value: Any) -> Iterator[str]:
    """Every string in a JSON value, at any depth; keys are left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings_in(item)
