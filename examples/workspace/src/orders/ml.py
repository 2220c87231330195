"""A flow that compares customers, and needs the group `ml`."""

from importlib.metadata import version

from prefect import flow

from cleaning import tidy
from matching import nearest

KNOWN = ["Ada Lovelace", "Grace Hopper", "Katherine Johnson"]


@flow(log_prints=True)
def ml(name: str = "grace HOPER") -> str:
    """Print which known customer was probably meant."""
    meant: str = nearest(tidy(name), KNOWN)
    print(f"textdistance {version('textdistance')} takes {name!r} for {meant}")
    return meant
