"""Readable numbers: a package with its own dependencies and its own releases."""

from collections.abc import Sequence
from statistics import mean

import roman


def numeral(values: Sequence[int]) -> str:
    """The rounded mean of some values, as a Roman numeral."""
    return str(roman.toRoman(round(mean(values))))
