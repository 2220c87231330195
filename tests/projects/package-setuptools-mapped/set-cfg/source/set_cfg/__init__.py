"""A module."""

PLACE = "set-cfg/source/set_cfg/__init__.py"
