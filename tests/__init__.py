"""The tests of prefect-uv, and the real local Prefect stack that they share with the demo."""
