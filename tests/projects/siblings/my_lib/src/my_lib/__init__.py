"""Statistics."""


def mean(values: list[float]) -> float:
    """The mean."""
    return sum(values) / len(values)
