"""Foreign text for property tests: documents with a few odd places, and values and texts that are odd themselves."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from prefect_uv.errors import InternalError, PrefectUvError

FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
fuzzed = settings(
    max_examples=10_000 if FULL else 40,
    derandomize=not FULL,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
"""10,000 random examples in `make test-all`, else the same 40 each time."""

# fmt: off
ODD_TEXTS = [
    "", " ", "\n", "\0", "\ud800", "\udc80", "\x85", "\x1b[2J", "\u202e", "\ufeff", "é", "İ", "٣", "²", "a" * 5000,
    "/", "//", "..", ".", "-", "--", "~", "*", "**", "[", "]", "[[", "(", "{", "{}", "%", "%s", "%ZZ", "$", "${",
    "${A}", "{{", "{{ x }}", "{{ $HOME }}", '"', "'", "\\", ";", "#", "@", ":", "!!", "[1", "a b", "a,b", "a=b",
    "://", "http://", "http://[::1", "http://h:x", "file://", "file:///%00", "==", ">=", ">=3", "3.99.x",
    "inf", "-inf", "nan", "-1", "1e400", "1_0", "0x10", "9" * 5000, "true", "null",
]
ODD_VALUES: list[Any] = [
    *ODD_TEXTS, None, True, False, 0, -1, 1.5, float("inf"), float("nan"), 10**30,
    [], [[]], [None], [""], [{}], ["\0"], [[[[[[[[]]]]]]]],
    {}, {"": {}}, {"a": {"b": []}}, {"name": 1},
]
# fmt: on

odd_texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=20))
# A variable can have any bytes but NUL; those that are not UTF-8 become surrogates.
# CPython 3.13: https://docs.python.org/3/library/os.html#file-names-command-line-arguments-and-environment-variables
variable_texts = st.one_of(
    odd_texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=20)
).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
odd_values = st.one_of(st.sampled_from(ODD_VALUES), st.text(max_size=20), st.integers(), st.floats())


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container of a document with each of its keys."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield document, key
        yield from _places(value)


@st.composite
def mutated(draw: st.DrawFn, document: Any, values: st.SearchStrategy[Any] = odd_values) -> Any:
    """A document in which up to three values are odd, missing, or have odd neighbours."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 3))):
        if not (places := list(_places(changed))):
            return copy.deepcopy(draw(values))
        container, key = draw(st.sampled_from(places))
        how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "wrap", "add"]))
        if how == "remove":
            del container[key]
        elif how == "wrap":
            container[key] = [container[key]]
        elif how == "add" and isinstance(container, dict):
            container[draw(odd_texts)] = copy.deepcopy(draw(values))
        else:
            container[key] = copy.deepcopy(draw(values))
    return changed


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A text file with up to three places that are cut out, doubled, or replaced by odd text or by any bytes."""
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 30)))
        odd = odd_texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
        inserted = draw(st.one_of(odd, st.binary(max_size=8), st.just(content[start:end] * 2)))
        content = content[:start] + inserted + content[end:]
    return content


@contextmanager
def ends_in_order() -> Iterator[list[PrefectUvError]]:
    """The block succeeds, or raises an error that says whose fault it is, and not that it is ours; it gets listed."""
    errors: list[PrefectUvError] = []
    try:
        yield errors
    except InternalError:
        raise
    except PrefectUvError as error:
        errors.append(error)
