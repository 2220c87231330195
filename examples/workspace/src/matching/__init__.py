"""Similar names: a library of the group `ml`."""

from collections.abc import Iterable

import textdistance


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that differs least."""
    return min(known, key=lambda other: textdistance.damerau_levenshtein(name, other))
