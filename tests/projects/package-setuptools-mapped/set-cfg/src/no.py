"""A module."""

PLACE = "set-cfg/src/no.py"
