"""The family of images and the builder that turns it into docker commands: `python -m images`."""
