"""The record of a start: what was run, from what, and how fast; in a file, on the run's page, as spans of its trace.

It is made and sent while the flow runs, or after a start has failed. Nothing here delays a start or fails a run.
"""
