"""Tests of `pull`."""
