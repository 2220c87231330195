"""Tests against a real Prefect server, a real worker and real containers."""
