"""A module that the flow imports by its package's name."""


def total(*cents: int) -> int:
    """The sum of prices."""
    return sum(cents)
