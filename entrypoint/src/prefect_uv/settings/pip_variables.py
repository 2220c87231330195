"""pip's variables, which users of Prefect's image have, as uv's: one table, read once with the settings.

uv reads none of pip's variables. One of uv's own that is set counts more than pip's of the same meaning. What is mapped
is for uv alone (`Settings.environ`): pip's certificates and proxy are no business of git, of pull steps or of the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple


def joined_words(text: str) -> str:
    """A list as most of uv's variables have it."""
    return " ".join(text.split())


def existing_places(text: str) -> str:
    """Addresses and directories that exist: pip leaves out others with a warning, uv stops."""
    return ",".join(word for word in text.split() if "://" in word or Path(word).exists())


class PipVariable(NamedTuple):
    """A variable of pip and what it is for uv 0.13.8.

    Attributes:
        pip: pip's variable.
        uv: the variable that uv reads.
        also: other variables of uv that say the same, and count more than pip's too.
        value: pip's value, whose lists are separated by any white space, as uv wants it; nothing when none is left.
    """

    pip: str
    uv: str
    also: tuple[str, ...] = ()
    value: Callable[[str], str] = joined_words


PIP_VARIABLES = (
    PipVariable("PIP_INDEX_URL", "UV_DEFAULT_INDEX", ("UV_INDEX_URL",)),
    PipVariable("PIP_EXTRA_INDEX_URL", "UV_INDEX", ("UV_EXTRA_INDEX_URL",)),
    PipVariable("PIP_FIND_LINKS", "UV_FIND_LINKS", value=existing_places),
    PipVariable("PIP_TRUSTED_HOST", "UV_INSECURE_HOST"),
    PipVariable("PIP_CONSTRAINT", "UV_CONSTRAINT"),
    PipVariable("PIP_CERT", "SSL_CERT_FILE", value=str),
    PipVariable("PIP_CLIENT_CERT", "SSL_CLIENT_CERT", value=str),
    PipVariable("PIP_PROXY", "ALL_PROXY", ("all_proxy", "HTTPS_PROXY", "https_proxy"), value=str),
)
WITHOUT_COUNTERPART = {
    "PIP_NO_INDEX": "uv has no such variable, PREFECT_UV_WHEELS names a directory to install from instead of an index",
}
MAPPED_INDEXES = {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"}


def mapped_to_uv(environ: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The environment for uv, in which pip's variables are uv's; those that do not count are left out.

    Returns:
        the environment, and a line about what was used and what not; empty when there is nothing of pip's.
    """
    found, used, unused = dict(environ), [], []
    for row in PIP_VARIABLES:
        if not environ.get(row.pip):
            continue
        own = next((name for name in (row.uv, *row.also) if environ.get(name)), None)
        value = row.value(environ[row.pip])
        if own or not value:
            unused.append(f"{row.pip} ({own} is set)" if own else f"{row.pip} (there is no such place)")
            del found[row.pip]
        else:
            used.append(f"{row.pip} as {row.uv}")
            found[row.uv] = value
    unused += [f"{name} ({reason})" for name, reason in WITHOUT_COUNTERPART.items() if environ.get(name)]
    parts = [f"{word} {', '.join(names)}" for word, names in (("used for uv:", used), ("not used:", unused)) if names]
    return found, f"pip's variables {'; '.join(parts)}" if parts else ""


def without_indexes(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv without the indexes that came from pip's variables, as uv itself would see it."""
    left_out = {row.uv for row in PIP_VARIABLES if row.uv in MAPPED_INDEXES and environ.get(row.pip)}
    return {name: value for name, value in environ.items() if name not in left_out}
