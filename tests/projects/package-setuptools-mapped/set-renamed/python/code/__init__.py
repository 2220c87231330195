"""A module."""

PLACE = "set-renamed/python/code/__init__.py"
