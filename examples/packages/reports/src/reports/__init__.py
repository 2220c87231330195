"""Flows that print reports."""
