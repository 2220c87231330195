"""Pull steps beside Prefect's own, and against real servers."""
