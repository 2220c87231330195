"""A module."""

PLACE = "lib/pdm_lib/__init__.py"
