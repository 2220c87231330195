"""Tests of `program`."""
