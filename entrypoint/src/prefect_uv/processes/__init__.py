"""Processes: signals to us, commands that we run, and everything below this process."""
