"""Tests of `cache_volume`."""
