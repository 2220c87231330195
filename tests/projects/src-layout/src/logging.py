"""Not part of the package, and not in front of the standard library."""

raise SystemExit("this is not Python's logging")
