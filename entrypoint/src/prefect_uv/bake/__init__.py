"""Dependencies, and code, in the image: what `prefect-uv bake` puts there, and what a start finds of it."""
