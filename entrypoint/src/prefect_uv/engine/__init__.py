"""The flow run's engine: its command, its process and its end."""
