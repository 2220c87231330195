"""A package that a build gives its version."""

__version__ = "3.4.5"
