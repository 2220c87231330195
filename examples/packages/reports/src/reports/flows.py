"""A flow in one package that uses the other package."""

from importlib.metadata import version

from figures import numeral
from prefect import flow


@flow(log_prints=True)
def report(values: tuple[int, ...] = (12, 14, 19)) -> str:
    """Print the mean of some values, and the versions of both packages."""
    mean: str = numeral(values)
    print(f"The mean of {len(values)} values is {mean}.")
    print(f"That was reports {version('reports')} with figures {version('figures')}.")
    return mean
