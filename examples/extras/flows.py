"""A flow that tells which packages it sees."""

from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version

from prefect import flow

ASKED = ("inflection", "cowsay", "roman", "snowballstemmer")


def seen(name: str) -> str:
    """A package with its version, or that it is missing."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


@flow(log_prints=True)
def tell() -> list[str]:
    """Ask in other processes: what is installed for a deployment is there, too."""
    with ProcessPoolExecutor(max_workers=2) as pool:
        found = list(pool.map(seen, ASKED))
    print(", ".join(found))
    return found
