"""Similar names: a library that needs the group `ml`."""

from collections.abc import Iterable

import textdistance


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most similar to a name."""
    return min(known, key=lambda other: textdistance.damerau_levenshtein(name, other))
