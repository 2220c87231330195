"""A module."""

PLACE = "lib/code/__init__.py"
