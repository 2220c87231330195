"""Explanations of uv's failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.environments.uv.uv_failures import explain_uv_failure
from prefect_uv.errors import PrefectUvError
from prefect_uv.processes.subprocesses import CompletedCommand


@pytest.mark.parametrize(
    ("stderr", "slug"),
    [
        ("error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.", "lockfile-stale"),
        ("error: No interpreter found for Python 3.9 in managed installations or search path", "python-missing"),
        ("error: Failed to download `a==1`\n  Caused by: Hash mismatch for `a==1`", "hash-mismatch"),
        ("HTTP status client error (404 Not Found) for url (https://index.example/a.whl)", "package-not-found"),
        ("Because a was not found in the package registry", "package-not-found"),
        ("HTTP status client error (401 Unauthorized) for url (https://index.example/a.whl)", "index-unauthorized"),
        ("error: Request failed after 3 retries\n  Caused by: error sending request for url", "index-unreachable"),
        ("  Caused by: dns error: failed to lookup address information", "index-unreachable"),
        ("error: Failed to parse `uv.lock`\n  Caused by: TOML parse error at line 1", "project-invalid"),
        ("error: The lockfile at `uv.lock` uses an unsupported schema version (v9, but only v1 …", "project-invalid"),
        ("error: Required uv version `>=0.99` does not match the running version `0.13.8`.", "project-invalid"),
        ("error: Unexpected '=', expected '-c', '-e', '-r' or the start of a requirement: x.in:1:1", "unresolvable"),
        (
            "error: No solution found\n  cause: Because you require a<1 and a>1",
            "unresolvable",
        ),
        (
            "error: No solution found\nhint: An index URL (https://x.example) could not be queried",
            "index-unreachable",
        ),
        ("hint: Packages were unavailable because the network was disabled.", "offline-missing"),
        (
            "  cause: Network connectivity is disabled, but the data wasn't found in the cache",
            "offline-missing",
        ),
        ("error: Failed to download and build `a`\n  cause: Git operation failed", "index-unreachable"),
        ("error: Building source distributions is disabled, but attempted to build `a`", "package-not-found"),
        ("error: Distribution `a` can't be installed because it is marked as `--no-build` but …", "package-not-found"),
        ("something else went wrong", "sync-failed"),
    ],
)
def test_failure_has_its_own_error(stderr: str, slug: str, tmp_path: Path) -> None:
    """Each known failure has its own error, and every error contains uv's own words."""
    error = explain_uv_failure(CompletedCommand("uv sync", 2, "", stderr), tmp_path)
    assert isinstance(error, PrefectUvError)
    assert error.slug == slug
    assert error.found.startswith("`uv sync` exited with code 2:\n    ")
    assert stderr.splitlines()[-1].strip() in error.found
