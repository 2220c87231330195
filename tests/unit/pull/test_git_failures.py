"""Which error each failure of git is: texts of servers that the tests do not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.processes.subprocesses import CompletedCommand
from prefect_uv.pull.git.git_failures import explain_git_failure

TEXTS = [
    ("remote: Repository not found.\nfatal: repository 'https://github.com/o/r/' not found", "repository-not-found"),
    ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", "repository-not-found"),
    ("remote: The project you were looking for could not be found", "repository-not-found"),
    ("remote: TF401019: The Git repository with name or identifier x does not exist", "repository-not-found"),
    (
        "remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://gitlab.com/o/r/'",
        "git-unauthorized",
    ),
    ("fatal: could not read Username for 'https://x': terminal prompts disabled", "git-unauthorized"),
    ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", "git-unauthorized"),
    ("fatal: unable to access 'https://x/': The requested URL returned error: 403", "git-unauthorized"),
    ("fatal: remote error: upload-pack: not our ref 0000", "revision-not-found"),
    ("fatal: Remote branch x not found in upstream origin", "revision-not-found"),
    ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "host-key-unknown"),
    ("fatal: unable to access 'https://x/': SSL certificate problem: self-signed", "git-certificate-untrusted"),
    ("fatal: unable to access 'https://x/': Could not resolve host: x", "git-unreachable"),
    ("ssh: Could not resolve hostname x: Temporary failure in name resolution", "git-unreachable"),
    ("error: RPC failed; curl 56 Recv failure: Connection reset by peer", "git-unreachable"),
    ("fatal: unable to access 'https://x/': The requested URL returned error: 503", "git-unreachable"),
    ("fatal: unable to access 'https://x/': Operation too slow. Less than 1000 bytes/sec", "git-unreachable"),
    ("fatal: write error: No space left on device", "checkout-full"),
    ("fatal: destination path 'x' already exists and is not an empty directory.", "pull-step-invalid"),
    ("fatal: transport 'file' not allowed", "address-refused"),
    ("fatal: transport 'helper' not allowed", "address-refused"),
    ("fatal: transport 'https' not allowed", "offline-code-missing"),
    ("fatal: transport 'ssh' not allowed", "offline-code-missing"),
    (
        "batch response: Repository or object not found: https://x/r\nfatal: m.bin: smudge filter lfs failed",
        "lfs-failed",
    ),
    (
        "batch response: Authorization error: https://x/r\nfatal: m.bin: smudge filter lfs failed",
        "git-unauthorized",
    ),
    ("tls: failed to verify certificate: x509: unknown authority", "git-certificate-untrusted"),
    ("git-lfs filter-process: 1: git-lfs: not found\nfatal: m.bin: smudge filter lfs failed", "lfs-failed"),
    ("fatal: something that nobody has seen", "clone-failed"),
]


@pytest.mark.parametrize(("stderr", "slug"), TEXTS)
def test_failure_has_its_slug(stderr: str, slug: str) -> None:
    """The first pattern that matches git's stderr decides."""
    completed = CompletedCommand("git clone", 128, "", stderr)
    error = explain_git_failure(completed, "https://x/r", "branch 'b'", Path("/r"))
    assert error.slug == slug
    assert stderr.splitlines()[-1] in error.found
