"""Names as they should be written: both pipelines share this library."""


def tidy(name: str) -> str:
    """A name with single spaces and capital initials."""
    return " ".join(name.split()).title()
