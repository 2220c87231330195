# /// script
# requires-python = ">=3.11"
# dependencies = ["prefect==3.9.1", "mako"]
# ///
