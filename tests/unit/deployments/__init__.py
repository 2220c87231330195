"""Deployments without a flow run."""
