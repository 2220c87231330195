"""Examples, and the demo that runs the first of them."""
