"""A module."""

PLACE = "lib/poetry_code/__init__.py"
