"""Secrets of odd alphabets, and how programs write them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

from prefect_uv.log.mask import MASK

USERINFO_SAFE = "!$&'()*+,;=:"
WITHOUT_STARS = st.characters(codec="utf-8", exclude_characters=f"{MASK}\0")
"""All characters but those of the mask, and NUL, which no environment variable can have."""
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON in Unicode": lambda text: json.dumps(text, ensure_ascii=False),
    "Rust": lambda text: re.sub(r'[^ -~]|[\\"]', lambda match: f"\\u{{{ord(match[0]):x}}}", text),
    "C": lambda text: "".join(f"\\{byte:03o}" if byte not in range(35, 92) else chr(byte) for byte in text.encode()),
    "a shell word": shlex.quote,
    "quote": quote,
    "quote of everything": lambda text: quote(text, safe=""),
    "quote_plus": quote_plus,
    "userinfo": lambda text: quote(text, safe=USERINFO_SAFE),
    "lower case": lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text)),
}


def spelled(text: str, *spellings: str) -> str:
    """A text, written one way within another."""
    for name in spellings:
        text = SPELLINGS[name](text)
    return text


def secrets() -> st.SearchStrategy[str]:
    """Secrets of one to three lines, each long enough to be looked for by itself.

    They have no control characters, which uv drops from what it prints (uv 0.13.8, observed).
    """
    characters = st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters=MASK)
    line = st.text(characters, min_size=8, max_size=20).filter(lambda text: len(text.strip()) >= 8)
    return st.lists(line, min_size=1, max_size=3).map("\n".join)
