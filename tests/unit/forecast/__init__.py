"""Tests of what `prefect-uv doctor` says beforehand."""
