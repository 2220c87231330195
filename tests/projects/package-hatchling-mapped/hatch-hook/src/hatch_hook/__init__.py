"""A module."""

PLACE = "hatch-hook/src/hatch_hook/__init__.py"
