"""Tests of the releases that need no Docker."""
