"""Removing from the cache volume what no run needs."""
