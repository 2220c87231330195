"""A flow whose dependencies stand in requirements.txt."""

from prefect import flow
from tabulate import tabulate

PRICES = {"apples": 1.2, "pears": 2.4}


@flow(log_prints=True)
def prices(found: dict[str, float] = PRICES) -> str:
    """Print a list of prices."""
    table = str(tabulate(sorted(found.items()), headers=["fruit", "price"], floatfmt=".2f"))
    print(table)
    return table
