"""Tests of every image."""
