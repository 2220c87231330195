"""A module."""

PLACE = "hatch-force/src/hatch_force/__init__.py"
