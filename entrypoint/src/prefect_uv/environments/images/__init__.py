"""Environments as OCI images: deterministic layers by package, written to a registry and read from it (ADR 33)."""
