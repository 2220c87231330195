"""Clean names: a library that both pipelines use."""


def tidy(name: str) -> str:
    """A name with single spaces, and a capital letter at the start of each word."""
    return " ".join(name.split()).title()
