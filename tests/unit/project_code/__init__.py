"""Tests of `project_code`."""
