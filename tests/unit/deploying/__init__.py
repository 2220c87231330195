"""Tests of the package for the deploying side, without an engine."""
