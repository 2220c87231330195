"""A flow that reads orders, and needs the group `etl`."""

from importlib.metadata import version

import xmltodict
from prefect import flow, task

from cleaning import tidy

FEED = """
<orders>
  <order><customer> ADA lovelace </customer></order>
  <order><customer>Grace  Hopper</customer></order>
  <order><customer>ada Lovelace</customer></order>
</orders>
"""


@task
def read(feed: str) -> list[str]:
    """The customers in an XML feed, as they were typed."""
    orders = xmltodict.parse(feed, force_list=("order",))["orders"]["order"]
    return [order["customer"] for order in orders]


@flow(log_prints=True)
def etl(feed: str = FEED) -> list[str]:
    """Print each customer once, with a clean name."""
    customers = sorted({tidy(name) for name in read(feed)})
    print(f"xmltodict {version('xmltodict')} found {', '.join(customers)}")
    return customers
