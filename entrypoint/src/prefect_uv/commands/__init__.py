"""The commands of prefect-uv that inspect or maintain, and start no flow: `cache`, `doctor` and `key`."""
