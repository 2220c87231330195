"""Pictures of pages get small, and stay what they were."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import pytest

from docs.png import COLOURS, SIGNATURE, Pixels, decode, small

WIDTH, HEIGHT = 24, 10


def filtered(kind: int, row: bytes, above: bytes, size: int) -> bytes:
    """A row with its filter, as the specification defines it: https://www.w3.org/TR/png-3/#9Filter-types."""
    left, corner = bytes(size) + row[:-size], bytes(size) + above[:-size]
    pairs = zip(row, left, above, corner, strict=True)
    return bytes([kind, *((value - predicted(kind, *near)) % 256 for value, *near in pairs)])


def predicted(kind: int, left: int, above: int, corner: int) -> int:
    """The value that a filter expects."""
    estimate = left + above - corner
    far_left, far_above, far_corner = (abs(estimate - value) for value in (left, above, corner))
    upper = above if far_above <= far_corner else corner
    paeth = left if far_left <= min(far_above, far_corner) else upper
    return (0, left, above, (left + above) // 2, paeth)[kind]


def file(pixels: Pixels, size: int, kinds: tuple[int, ...] = (0, 1, 2, 3, 4), interlaced: int = 0) -> bytes:
    """A PNG file with all filters, with three or four bytes a pixel."""
    width = pixels.width
    colours = [colour + b"\xff" * (size - 3) for colour in pixels.colours]
    rows = [b"".join(colours[start : start + width]) for start in range(0, len(colours), width)]
    pairs = enumerate(pairwise([bytes(width * size), *rows]))
    data = b"".join(filtered(kinds[y % len(kinds)], row, above, size) for y, (above, row) in pairs)
    header = struct.pack(">IIBBBBB", width, pixels.height, 8, 2 if size == 3 else 6, 0, 0, interlaced)
    chunks = ((b"IHDR", header), (b"tEXt", b"Comment\0x"), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def shown(png: bytes) -> list[bytes]:
    """The colours of a file with a palette, pixel by pixel."""
    chunks = {}
    start = len(SIGNATURE)
    while start < len(png):
        length, name = struct.unpack(">I4s", png[start : start + 8])
        chunks[name] = png[start + 8 : start + 8 + length]
        start += length + 12
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    palette, data = chunks[b"PLTE"], zlib.decompress(chunks[b"IDAT"])
    numbers = [number for y in range(height) for number in data[y * (width + 1) + 1 : (y + 1) * (width + 1)]]
    return [palette[3 * number : 3 * number + 3] for number in numbers]


@pytest.mark.parametrize("size", [3, 4])
def test_few_colours_stay_what_they_were(size: int) -> None:
    """Whatever filters the browser chose, each pixel has its colour, with or without alpha."""
    colours = [bytes((x * 7 % 13 * 19, y * 20 % 7 * 30, 200)) for y in range(HEIGHT) for x in range(WIDTH)]
    pixels = Pixels(WIDTH, HEIGHT, colours)
    assert decode(file(pixels, size)) == pixels
    assert shown(small(file(pixels, size))) == colours


def test_many_colours_become_similar_ones() -> None:
    """Of more colours than a palette has, the ones that differ least become one."""
    colours = [bytes((x * 10, y * 25, (x + y) * 7)) for y in range(HEIGHT) for x in range(WIDTH)]
    colours += [bytes((x * 10 + 1, y * 25, (x + y) * 7)) for y in range(HEIGHT) for x in range(WIDTH)]
    found = shown(small(file(Pixels(WIDTH, 2 * HEIGHT, colours), 3)))
    assert COLOURS >= len(set(found)) > COLOURS / 2
    assert max(abs(a - b) for old, new in zip(colours, found, strict=True) for a, b in zip(old, new, strict=True)) == 1


def test_other_files_are_refused() -> None:
    """A file that would be decoded wrongly is an error."""
    pixels = Pixels(1, 1, [b"\0\0\0"])
    with pytest.raises(ValueError, match="interlaced 1"):
        decode(file(pixels, 3, interlaced=1))
    with pytest.raises(ValueError, match="not a PNG file"):
        decode(b"<svg/>")
