"""Deployments without a flow run: found by the API, and prepared with the variables that their runs would get."""
