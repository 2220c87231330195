"""A module."""

PLACE = "set-py/code/set_py/__init__.py"
