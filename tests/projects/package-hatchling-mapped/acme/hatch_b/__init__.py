"""A module."""

PLACE = "acme/hatch_b/__init__.py"
