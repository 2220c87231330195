"""The directory that uv's PYTHONPATH begins with; it holds nothing but `sitecustomize`."""
