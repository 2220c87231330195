"""Tests in a cluster: a real Prefect server, the real Kubernetes worker with its observer, and real pods."""
