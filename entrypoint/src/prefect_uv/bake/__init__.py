"""Dependencies and the project's code in the image: `prefect-uv bake` puts them there, and a start reads the record."""
