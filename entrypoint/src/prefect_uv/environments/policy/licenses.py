"""Which license a package has, and whether a policy allows it.

https://packaging.python.org/en/latest/specifications/license-expression/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from prefect_uv.environments.policy.package_facts import PackageFacts

LONGEST_SHOWN = 80
# Those classifiers whose meaning is one SPDX identifier.
IDENTIFIERS = {
    "apache software license": "Apache-2.0",
    "gnu affero general public license v3": "AGPL-3.0-only",
    "gnu general public license v2 (gplv2)": "GPL-2.0-only",
    "gnu general public license v3 (gplv3)": "GPL-3.0-only",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mit no attribution license (mit-0)": "MIT-0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "zero-clause bsd (0bsd)": "0BSD",
}
_WORD = re.compile(r"[()]|[^\s()]+")


def has_allowed_license(facts: PackageFacts, allowed: Sequence[str]) -> bool:
    """Whether a package's license is allowed; that of a package which names none is not.

    An expression allows a choice (`OR`). Several classifiers do not say whether they are one, so all must be allowed.
    """
    texts = (facts.expression,) if facts.expression else facts.licenses
    return bool(texts) and all(_allows_expression(text, allowed) for text in texts)


def license_text(facts: PackageFacts) -> str:
    """A package's license in a few words; empty if it names none."""
    return (facts.expression or ", ".join(facts.licenses))[:LONGEST_SHOWN]


def _matches(text: str, allowed: Sequence[str]) -> bool:
    names = {text.lower(), IDENTIFIERS.get(text.lower(), text).lower()}
    return any(fnmatchcase(name, pattern.lower()) for name in names for pattern in allowed)


def _allows_expression(expression: str, allowed: Sequence[str]) -> bool:
    """Evaluate an SPDX expression; one that is none is compared as a text."""
    words = _WORD.findall(expression)
    reading = iter([*words, ""])
    try:
        result, rest = _either(reading, next(reading), allowed)
    except (StopIteration, ValueError, RecursionError):
        return _matches(expression, allowed)
    return _matches(expression, allowed) if rest else result


def _either(words: Iterator[str], word: str, allowed: Sequence[str]) -> tuple[bool, str]:
    result, word = _both(words, word, allowed)
    while word.upper() == "OR":
        other, word = _both(words, next(words), allowed)
        result = result or other
    return result, word


def _both(words: Iterator[str], word: str, allowed: Sequence[str]) -> tuple[bool, str]:
    result, word = _one(words, word, allowed)
    while word.upper() == "AND":
        other, word = _one(words, next(words), allowed)
        result = result and other
    return result, word


def _one(words: Iterator[str], word: str, allowed: Sequence[str]) -> tuple[bool, str]:
    """A license, with an exception that only permits more, or an expression in parentheses; and the next one."""
    if word == "(":
        result, word = _either(words, next(words), allowed)
        if word != ")":
            message = "an open parenthesis"
            raise ValueError(message)
        return result, next(words)
    if word in {"", ")"} or word.upper() in {"AND", "OR", "WITH"}:
        message = "no license"
        raise ValueError(message)
    following = next(words)
    if following.upper() != "WITH":
        return _matches(word, allowed), following
    exception = next(words)
    return _matches(word, allowed) or _matches(f"{word} WITH {exception}", allowed), next(words)
