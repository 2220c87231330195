"""A package with an extension in C."""
