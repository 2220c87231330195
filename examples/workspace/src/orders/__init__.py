"""Flows that work with the orders of a shop."""
