"""Tests of images with Debian's interpreter."""
