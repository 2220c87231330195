"""A module."""

PLACE = "src/acme/shop/__init__.py"
