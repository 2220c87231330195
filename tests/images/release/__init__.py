"""Tests of releases: a real registry, and the images as others get them from it."""
