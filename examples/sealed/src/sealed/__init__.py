"""A package that is installed when its image is built."""
