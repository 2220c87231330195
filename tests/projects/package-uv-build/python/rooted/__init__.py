"""A module."""

PLACE = "python/rooted/__init__.py"
