"""A package that is installed when the image is built."""
