"""Processes: signals that we receive, commands that we run, and all descendants of this process."""
