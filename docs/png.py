"""A PNG file with a palette: a third of the size that a browser's picture of a page has.

https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 6: 4}
"""The bytes of a pixel, by colour type: RGB, and RGB with alpha."""
COLOURS = 256
MASKS = (0xFF, 0xFE, 0xFC, 0xF8, 0xF0, 0xE0, 0xC0)
"""With the last of these, no picture has more than 64 colours."""


@dataclass(frozen=True)
class Pixels:
    """The pixels of a picture, three bytes each, row by row."""

    width: int
    height: int
    colours: list[bytes]


def small(png: bytes) -> bytes:
    """The same picture with 256 colours at most; colours that differ least become one."""
    pixels = decode(png)
    frequent = [colour for colour, _ in Counter(pixels.colours).most_common()]
    for mask in MASKS:
        kept: dict[bytes, bytes] = {}
        for colour in frequent:
            kept.setdefault(_masked(colour, mask), colour)
        if len(kept) <= COLOURS:
            break
    palette = list(kept.values())
    numbers = {value: number for number, value in enumerate(palette)}
    number_of = {colour: numbers[kept[_masked(colour, mask)]] for colour in frequent}
    return _encode(pixels, palette, bytes(number_of[colour] for colour in pixels.colours))


def decode(png: bytes) -> Pixels:
    """The pixels of a file with 8 bits a channel, without interlacing; alpha is left out.

    Raises:
        ValueError: it is another kind of file.
    """
    chunks = list(_chunks(png))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if depth != 8 or kind not in CHANNELS or interlaced:  # noqa: PLR2004 (bits)
        raise ValueError(f"a PNG file of depth {depth}, colour type {kind}, interlaced {interlaced}")
    size = CHANNELS[kind]
    data = zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT"))
    stride = width * size + 1
    row, colours = bytearray(width * size), []
    for start in range(0, stride * height, stride):
        row = _unfiltered(data[start], bytearray(data[start + 1 : start + stride]), row, size)
        colours += [bytes(row[x : x + 3]) for x in range(0, len(row), size)]
    return Pixels(width, height, colours)


def _unfiltered(kind: int, row: bytearray, above: bytearray, size: int) -> bytearray:
    """A row's bytes from what the filter left of them; `size` is the distance of a byte to the one at its left."""
    for x, value in enumerate(row):
        left = row[x - size] if x >= size else 0
        corner = above[x - size] if x >= size else 0
        predicted = (0, left, above[x], (left + above[x]) // 2, _nearest(left, above[x], corner) if kind == 4 else 0)  # noqa: PLR2004 (the filter's number)
        row[x] = (value + predicted[kind]) & 0xFF
    return row


def _nearest(left: int, above: int, corner: int) -> int:
    """Paeth's predictor."""
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))


def _masked(colour: bytes, mask: int) -> bytes:
    return bytes(channel & mask for channel in colour)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk's name and content."""
    if not png.startswith(SIGNATURE):
        raise ValueError("not a PNG file")
    start = len(SIGNATURE)
    while start < len(png):
        length, name = struct.unpack(">I4s", png[start : start + 8])
        yield name, png[start + 8 : start + 8 + length]
        start += length + 12


def _encode(pixels: Pixels, palette: list[bytes], numbers: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", pixels.width, pixels.height, 8, 3, 0, 0, 0)
    rows = (numbers[start : start + pixels.width] for start in range(0, len(numbers), pixels.width))
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    chunks = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", data), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
