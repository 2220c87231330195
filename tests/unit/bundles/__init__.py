"""Flow runs from bundles."""
