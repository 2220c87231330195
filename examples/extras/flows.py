"""A flow that prints which packages it can import."""

from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version

from prefect import flow

PACKAGES = ("inflection", "cowsay", "roman", "snowballstemmer")


def describe(name: str) -> str:
    """A package with its version, or "no" and its name."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


@flow(log_prints=True)
def tell() -> list[str]:
    """Print the packages as other processes see them: what is added for a deployment is there, too."""
    with ProcessPoolExecutor(max_workers=2) as pool:
        packages = list(pool.map(describe, PACKAGES))
    print(", ".join(packages))
    return packages
