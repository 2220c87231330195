"""A package with a C extension."""
