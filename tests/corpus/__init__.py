"""The corpus: every project of tests/projects, run by plain uv and by us, with the same result."""
