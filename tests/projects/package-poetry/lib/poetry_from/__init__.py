"""A module."""

PLACE = "lib/poetry_from/__init__.py"
