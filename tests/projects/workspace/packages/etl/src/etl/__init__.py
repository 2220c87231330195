"""Flows on the stock."""
