"""The family of images and its builder, which turns `family.toml` into docker commands: `python -m images`."""
