"""A function in a project that does not depend on Prefect."""


def hello() -> None:
    """Never run."""
