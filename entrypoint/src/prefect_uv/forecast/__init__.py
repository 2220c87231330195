"""`prefect-uv doctor` for a project or a deployment: what a start would do, without building or changing anything."""
