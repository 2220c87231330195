"""A flow of one package that uses the other one."""

from importlib.metadata import version

from figures import numeral
from prefect import flow


@flow(log_prints=True)
def report(values: tuple[int, ...] = (12, 14, 19)) -> str:
    """Report on some values."""
    found: str = numeral(values)
    print(f"The mean of {len(values)} values is {found}.")
    print(f"That was reports {version('reports')} with figures {version('figures')}.")
    return found
