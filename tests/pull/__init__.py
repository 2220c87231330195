"""Pull steps compared with Prefect's own, and against real servers."""
