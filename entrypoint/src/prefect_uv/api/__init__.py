"""Talking to the Prefect API without Prefect: its REST API, its event stream, and one flow run with its state."""
