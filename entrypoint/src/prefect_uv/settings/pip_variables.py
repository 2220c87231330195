"""Translating pip's variables, which users of Prefect's image have set, to uv's.

uv 0.13.8 reads none of them: https://docs.astral.sh/uv/pip/compatibility/#configuration-files-and-environment-variables

A variable of uv takes precedence over pip's with the same meaning. Only uv sees the translated variables
(`Settings.environ`): pip's certificates and proxy do not concern git, pull steps or the flow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple


def joined_words(text: str) -> str:
    """The words with one space between each two, as most of uv's variables expect a list."""
    return " ".join(text.split())


def existing_links(text: str) -> str:
    """The URLs, and the paths that exist: pip only warns about the others, but uv fails.

    (uv 0.13.8, observed; covered by
    tests/unit/settings/test_pip_variables.py::test_directory_that_does_not_exist_is_left_out)
    """
    return ",".join(word for word in text.split() if "://" in word or os.path.exists(word))  # noqa: PTH110 (Path.exists raises for an overlong one)


class PipVariable(NamedTuple):
    """A variable of pip and its counterpart in uv.

    Attributes:
        pip: pip's variable.
        uv: the variable that uv reads instead.
        also: other variables that uv reads for the same purpose; they take precedence over pip's too.
        value: turns pip's value, in which any white space separates items, into uv's; empty if nothing is left.
    """

    pip: str
    uv: str
    also: tuple[str, ...] = ()
    value: Callable[[str], str] = joined_words


# pip: https://pip.pypa.io/en/stable/topics/configuration/#environment-variables
# uv 0.13.8: https://docs.astral.sh/uv/reference/environment/
PIP_VARIABLES = (
    PipVariable("PIP_INDEX_URL", "UV_DEFAULT_INDEX", ("UV_INDEX_URL",)),
    PipVariable("PIP_EXTRA_INDEX_URL", "UV_INDEX", ("UV_EXTRA_INDEX_URL",)),
    PipVariable("PIP_FIND_LINKS", "UV_FIND_LINKS", value=existing_links),
    PipVariable("PIP_TRUSTED_HOST", "UV_INSECURE_HOST"),
    PipVariable("PIP_CONSTRAINT", "UV_CONSTRAINT"),
    PipVariable("PIP_CERT", "SSL_CERT_FILE", value=str),
    PipVariable("PIP_CLIENT_CERT", "SSL_CLIENT_CERT", value=str),
    PipVariable("PIP_PROXY", "ALL_PROXY", ("all_proxy", "HTTPS_PROXY", "https_proxy"), value=str),
)
WITHOUT_COUNTERPART = {
    "PIP_NO_INDEX": "uv has no such variable; PREFECT_UV_WHEELS names a directory to install from instead of an index",
}
TRANSLATED_INDEXES = {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"}


def translate_to_uv(environ: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Add uv's variable for each of pip's, and remove those of pip's that are not used.

    Returns:
        the environment for uv, and a line that says which were used and which were not; empty if there are none.
    """
    translated, used, unused = dict(environ), [], []
    for row in PIP_VARIABLES:
        if not environ.get(row.pip):
            continue
        own = next((name for name in (row.uv, *row.also) if environ.get(name)), None)
        value = row.value(environ[row.pip])
        if own or not value:
            unused.append(f"{row.pip} ({own} is set)" if own else f"{row.pip} (no such directory)")
            del translated[row.pip]
        else:
            used.append(f"{row.pip} as {row.uv}")
            translated[row.uv] = value
    unused += [f"{name} ({reason})" for name, reason in WITHOUT_COUNTERPART.items() if environ.get(name)]
    parts = [f"{word} {', '.join(names)}" for word, names in (("used for uv:", used), ("not used:", unused)) if names]
    return translated, f"pip's variables {'; '.join(parts)}" if parts else ""


def named_as_given(text: str, environ: Mapping[str, str]) -> str:
    """A text with pip's variable in the place of uv's wherever the user has set pip's."""
    for row in PIP_VARIABLES:
        if environ.get(row.pip):
            text = re.sub(rf"\b{row.uv}\b", row.pip, text)
    return text


def without_indexes(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv without the indexes that were translated from pip's variables."""
    from_pip = {row.uv for row in PIP_VARIABLES if row.uv in TRANSLATED_INDEXES and environ.get(row.pip)}
    return {name: value for name, value in environ.items() if name not in from_pip}
