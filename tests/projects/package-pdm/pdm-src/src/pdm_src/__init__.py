"""A module whose version the build reads."""

__version__ = "3.4.5"
PLACE = "pdm-src/src/pdm_src/__init__.py"
