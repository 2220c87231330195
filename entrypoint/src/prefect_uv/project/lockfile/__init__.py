"""Read uv's lockfile without running uv."""
