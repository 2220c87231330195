"""Unit tests of the entrypoint: no Docker, seconds."""
