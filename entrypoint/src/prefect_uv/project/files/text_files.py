"""Text files of the user's, in the encodings in which uv 0.13.8 reads requirements."""

from __future__ import annotations

import codecs
from pathlib import Path

from prefect_uv.errors import ProjectInvalidError


def read_text(path: Path) -> str:
    """A file's text; see `decoded`."""
    return decode_text(path, path.read_bytes())


def decode_text(path: Path, content: bytes) -> str:
    r"""The text of a file's content: UTF-8 with or without a byte order mark, UTF-16 with one; lines end in `\n`.

    Raises:
        ProjectInvalidError: it is in another encoding.
    """
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ProjectInvalidError(
            f"{path} is no text in UTF-8.", f"{str(error).capitalize()}.", "Save it in UTF-8, commit, and push."
        ) from None
