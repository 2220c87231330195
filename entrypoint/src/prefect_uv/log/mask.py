"""Masking credentials in everything that we log or send; what the engine prints passes unchanged."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator

from prefect_uv.urls import USERINFO

MASK = "****"
SHORTEST = 4
SHORTEST_LINE = 8
ESCAPE_SIGNS = (b"%", b"\\", b"+", b"'\"'")
_QUERY = re.compile(r"(://[^\s'\"`?#<>]+\?)([^\s'\"`#<>]+)")
_VALUE = re.compile(r"=[^&;]+")
_AUTHORIZATION = re.compile(r"(?i)(authorization:\s*(?:basic|bearer)\s+)\S+")


def masked(text: str) -> str:
    """Mask what is secret wherever it stands: user information and query values of URLs, and authorization headers.

    A signed URL has its signature in the query. The names of query parameters are kept.
    """
    text = _QUERY.sub(lambda match: match[1] + _VALUE.sub(f"={MASK}", match[2]), USERINFO.sub(f"{MASK}@", text))
    return _AUTHORIZATION.sub(rf"\1{MASK}", text)


class Mask:
    """Replaces known secrets, and everything that `masked` finds, with `****`.

    A secret is found as it is, without the white space around it, in base64, and behind the escapes of repr, JSON, C,
    the shell and URLs; of a secret with several lines, each long enough line is found by itself, too.
    """

    def __init__(self) -> None:
        self._needles: set[bytes] = set()

    def add(self, *secrets: str | None) -> None:
        """Add secrets.

        Those shorter than four characters, and lines of fewer than eight, are ignored: they occur in ordinary words.
        """
        for text in filter(None, secrets):
            for part in _parts(text):
                data = part.encode("utf-8", "surrogatepass")
                self._needles |= {data, *_in_base64(data)}

    def __call__(self, text: str) -> str:
        """Mask a text."""
        data = text.encode("utf-8", "surrogatepass")
        spans = list(self._found_in(data))
        if self._needles and any(sign in data for sign in ESCAPE_SIGNS):
            from prefect_uv.log.escapes import views  # noqa: PLC0415 (few lines have escapes)

            for view in views(data):
                spans += [(view.starts[start], view.ends[end - 1]) for start, end in self._found_in(view.data)]
        return masked(_without(data, spans).decode("utf-8", "surrogatepass") if spans else text)

    def _found_in(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The start and end of every secret, even if they overlap."""
        for needle in self._needles:
            start = data.find(needle)
            while start >= 0:
                yield start, start + len(needle)
                start = data.find(needle, start + 1)


def _parts(secret: str) -> set[str]:
    """What to look for: the secret, and each of its lines, wherever a reader of lines may break it."""
    lines = {line.strip() for line in (*secret.split("\n"), *secret.splitlines())}
    whole = secret.strip()
    return {line for line in lines if len(line) >= SHORTEST_LINE} | ({whole} if len(whole) >= SHORTEST else set())


def _in_base64(data: bytes) -> Iterator[bytes]:
    """A secret in base64, and the characters that it determines for each place that it may have in what is encoded."""
    yield base64.b64encode(data)
    for before in range(3):
        first, end = -(-8 * before // 6), 8 * (before + len(data)) // 6
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + data)[first:end]


def _without(data: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """Replace these parts, of which several may overlap or touch, with the mask."""
    kept, position = bytearray(), 0
    for start, end in sorted(spans):
        if start > position or not position:
            kept += data[position:start] + MASK.encode()
        position = max(position, end)
    return bytes(kept + data[position:])
