"""The commands of `prefect-uv` that start no flow: `cache` and `doctor`."""
