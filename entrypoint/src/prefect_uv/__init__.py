"""The entrypoint of the prefect-uv images: takes the id of a flow run, and starts its engine in an environment."""

__version__ = "0.1.0"
