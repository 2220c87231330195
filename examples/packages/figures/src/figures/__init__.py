"""Numbers as people read them: a package of its own, with its own dependencies and releases."""

from collections.abc import Sequence
from statistics import mean

import roman


def numeral(values: Sequence[int]) -> str:
    """The mean of some values as a Roman numeral."""
    return str(roman.toRoman(round(mean(values))))
