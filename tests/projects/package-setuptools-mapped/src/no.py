"""A module."""

PLACE = "src/no.py"
