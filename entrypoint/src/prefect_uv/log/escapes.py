"""Undoing the escapes in a text: those of repr, JSON, Rust, C, the shell and URLs, also one within another.

Whoever reads a log can undo them too, so secrets are looked for in what is behind them.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

NESTED = 2
CONTROL = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"0": b"\0"}

Undo = Callable[[re.Match[bytes]], bytes]


class View(NamedTuple):
    """A text after some escapes are undone.

    Attributes:
        data: the text, in UTF-8.
        starts: for each byte of `data`, where what it stands for begins in the original text.
        ends: for each byte, where that ends.
    """

    data: bytes
    starts: array[int]
    ends: array[int]


def views(data: bytes, nested: int = NESTED) -> Iterator[View]:
    """Yield what remains of a text, in UTF-8, when one kind of escape is undone, and then another or the same."""
    size = len(data)
    yield from _undone(View(data, array("l", range(size)), array("l", range(1, size + 1))), nested)


def _undone(view: View, nested: int) -> Iterator[View]:
    for pattern, undo in ESCAPES:
        if nested and pattern.search(view.data):
            plainer = _replaced(view, pattern, undo)
            yield plainer
            yield from _undone(plainer, nested - 1)


def _replaced(view: View, pattern: re.Pattern[bytes], undo: Undo) -> View:
    """Replace each escape; all bytes that it stands for have its place."""
    plainer, end = View(b"", array("l"), array("l")), 0
    data = bytearray()
    for match in pattern.finditer(view.data):
        plain = undo(match)
        data += view.data[end : match.start()] + plain
        plainer.starts.extend(view.starts[end : match.start()])
        plainer.starts.extend(view.starts[match.start() : match.start() + 1] * len(plain))
        plainer.ends.extend(view.ends[end : match.start()])
        plainer.ends.extend(view.ends[match.end() - 1 : match.end()] * len(plain))
        end = match.end()
    plainer.starts.extend(view.starts[end:])
    plainer.ends.extend(view.ends[end:])
    return plainer._replace(data=bytes(data + view.data[end:]))


def _utf8(digits: bytes, encoding: str) -> bytes:
    """The UTF-8 of hexadecimal digits in another encoding; empty if they are no text."""
    return bytes.fromhex(digits.decode()).decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")


def _undo_characters(match: re.Match[bytes]) -> bytes:
    r"""`\xe4`, `\u20ac`, `\U0001f600` and Rust's `\u{20ac}` are characters; two of `\u` may stand for one."""
    latin, utf16, *utf32, one = match.groups()
    if utf16:
        return _utf8(utf16[1:].replace(rb"\u", b""), "utf-16-be")
    if digits := next(filter(None, utf32), b""):
        return _utf8(digits.zfill(8), "utf-32-be") if int(digits, 16) <= sys.maxunicode else match[0]
    return _utf8(latin, "latin-1") if latin else CONTROL.get(one, one)


def _undo_bytes(match: re.Match[bytes]) -> bytes:
    r"""`\xc3` and `\303` are bytes."""
    hexadecimal, octal, one = match.groups()
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    return bytes.fromhex(hexadecimal.decode()) if hexadecimal else CONTROL.get(one, one)


def _undo_percent(match: re.Match[bytes]) -> bytes:
    """`%2F` is a byte, and in forms `+` is a space."""
    return bytes.fromhex(match[1].decode()) if match[1] else b" "


ESCAPES: tuple[tuple[re.Pattern[bytes], Undo], ...] = (
    (
        re.compile(
            rb"\\(?:x([0-9a-fA-F]{2})|(u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*)|U([0-9a-fA-F]{8})|u\{([0-9a-fA-F]{1,6})\}|(.))",
            re.DOTALL,
        ),
        _undo_characters,
    ),
    (re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|(.))", re.DOTALL), _undo_bytes),
    (re.compile(rb"%([0-9a-fA-F]{2})"), _undo_percent),
    (re.compile(rb"%([0-9a-fA-F]{2})|\+"), _undo_percent),
    (re.compile(rb"""'"'"'"""), lambda _: b"'"),
)
