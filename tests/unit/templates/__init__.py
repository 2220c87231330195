"""Tests of `prefect-uv template`, with the real templates and configurations of Prefect's workers."""
