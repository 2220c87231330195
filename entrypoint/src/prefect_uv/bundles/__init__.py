"""Flows that were submitted as bundles: the flow itself, serialized with what it needs, instead of code from git."""
