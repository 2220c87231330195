"""Tests of `git_access`."""
