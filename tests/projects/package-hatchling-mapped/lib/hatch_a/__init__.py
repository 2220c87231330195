"""A module."""

PLACE = "lib/hatch_a/__init__.py"
