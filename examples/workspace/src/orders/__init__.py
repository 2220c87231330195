"""Flows on the orders of a shop."""
