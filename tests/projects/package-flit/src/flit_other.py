"""A module whose version the build reads."""

__version__ = "3.4.5"
PLACE = "src/flit_other.py"
