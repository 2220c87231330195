"""A module."""

PLACE = "python/set_where/__init__.py"
