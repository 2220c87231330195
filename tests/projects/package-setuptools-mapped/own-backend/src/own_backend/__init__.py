"""A module."""

PLACE = "own-backend/src/own_backend/__init__.py"
