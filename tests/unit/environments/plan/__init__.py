"""Tests of `environments/plan`."""
