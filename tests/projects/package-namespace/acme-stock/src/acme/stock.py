"""A module."""

PLACE = "acme-stock/src/acme/stock.py"
