"""Tests of the record of a start."""
