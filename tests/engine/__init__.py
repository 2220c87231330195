"""Our supervisor with real engines of many Prefect versions and a real server, on the host."""
