"""A module."""

PLACE = "acme-prices/src/acme/prices/__init__.py"
