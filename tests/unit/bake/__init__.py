"""Tests of `bake`."""
