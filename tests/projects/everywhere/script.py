# /// script
# requires-python = ">=3.11"
# dependencies = ["prefect==3.8.8", "mako"]
# ///
