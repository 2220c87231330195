"""A flow whose dependencies are in requirements.txt."""

from prefect import flow
from tabulate import tabulate

PRICES = {"apples": 1.2, "pears": 2.4}


@flow(log_prints=True)
def prices(by_fruit: dict[str, float] = PRICES) -> str:
    """Print a table of prices."""
    table = str(tabulate(sorted(by_fruit.items()), headers=["fruit", "price"], floatfmt=".2f"))
    print(table)
    return table
