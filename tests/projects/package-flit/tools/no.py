"""A module."""

PLACE = "tools/no.py"
