"""Text files of a project, in the encodings in which uv reads requirements files.

uv 0.13.8: https://github.com/astral-sh/uv/blob/0.13.8/crates/uv-fs/src/lib.rs (`read_to_string_transcode`)
"""

from __future__ import annotations

import codecs
from pathlib import Path

from prefect_uv.errors import ProjectInvalidError


def read_text(path: Path) -> str:
    """Read a file; see `decode_text`."""
    return decode_text(path, path.read_bytes())


def decode_text(path: Path, content: bytes) -> str:
    r"""Decode UTF-8 with or without a byte order mark, or UTF-16 with one; lines end in `\n`.

    Raises:
        ProjectInvalidError: the content is in another encoding, or has NUL, which is in no text and no path.
    """
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    hint = "Save it as UTF-8, commit, and push."
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ProjectInvalidError(f"{path} is not UTF-8 text.", f"{str(error).capitalize()}.", hint) from None
    if "\0" in text:
        raise ProjectInvalidError(f"{path} is not text.", f"It has NUL at position {text.index(chr(0))}.", hint)
    return text.replace("\r\n", "\n").replace("\r", "\n")
