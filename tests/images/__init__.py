"""Tests of the images, in containers of a real Docker engine."""
