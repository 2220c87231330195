"""uv's lockfile, read without uv."""
