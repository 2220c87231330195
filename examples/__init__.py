"""The examples, and a demo that runs one of them."""
