"""uv as this program uses it: its variables, its options and the meaning of its failures."""
