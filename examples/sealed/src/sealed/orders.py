"""Orders, and a console script that counts them."""

import humanize


def count() -> str:
    """The number of orders, with thousands separators."""
    return humanize.intcomma(12_345)


def main() -> None:
    """Print the number of orders."""
    print(count())
