"""The entrypoint of the prefect-uv images: from a flow run's id to its running engine."""

__version__ = "0.1.0"
