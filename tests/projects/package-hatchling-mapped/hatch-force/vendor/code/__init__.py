"""A module."""

PLACE = "hatch-force/vendor/code/__init__.py"
