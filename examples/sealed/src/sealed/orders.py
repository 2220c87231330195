"""Orders, and a console script that counts them."""

import humanize


def count() -> str:
    """The number of orders, for people."""
    return humanize.intcomma(12_345)


def main() -> None:
    """Print it."""
    print(count())
