"""Flows that report."""
