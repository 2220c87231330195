"""Connections to the API: opened directly or through a proxy, kept by origin, redirected within it."""
