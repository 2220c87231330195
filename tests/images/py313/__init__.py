"""Tests of the images on Debian's interpreter."""
