"""Find the error of the catalogue for a failure of git, by the texts that git and OpenSSH print with LC_ALL=C.

Upstream promises none of these texts (git 2.39 to 2.47 and OpenSSH 9 and 10, observed; covered by
tests/unit/pull/test_git_failures.py::test_failure_has_its_slug and tests/pull/test_servers.py::test_failure).
"""

from __future__ import annotations

import re
from pathlib import Path

from prefect_uv.cache_volume.full_disk import describe_space, has_space, mount_point, reported_path, says_disk_full
from prefect_uv.errors import (
    AddressRefusedError,
    CheckoutFullError,
    CloneError,
    GitCertificateError,
    GitUnauthorizedError,
    GitUnreachableError,
    HostKeyUnknownError,
    LfsError,
    OfflineCodeError,
    PrefectUvError,
    PullStepError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from prefect_uv.processes.subprocesses import CompletedCommand

_GIT_FAILURES: tuple[tuple[str, type[PrefectUvError], str, str], ...] = (
    (
        r"transport '(?!https?'|ssh'|git')\S+' not allowed",
        AddressRefusedError,
        "Git may not read from {url} or one of its submodules: it refuses this kind of address.",
        (
            "Use an https or ssh address. For submodules in local directories, set git's protocol.file.allow to"
            " `always` (GIT_CONFIG_COUNT, GIT_CONFIG_KEY_0 and GIT_CONFIG_VALUE_0)."
        ),
    ),
    (
        r"transport '.+' not allowed",
        OfflineCodeError,
        (
            "Git needs to fetch more of {url} (a submodule, or objects that a partial clone left out), but"
            " PREFECT_UV_OFFLINE is set."
        ),
        "Run the deployment once with network access and this cache volume.",
    ),
    (
        r"already exists and is not an empty directory",
        PullStepError,
        "The directory for the clone of {url} exists, is not empty and is not a clone.",
        "Choose another directory with clone_directory_name, or empty this one.",
    ),
    (
        r"Host key verification failed|HOST IDENTIFICATION HAS CHANGED|host key is known for",
        HostKeyUnknownError,
        "The SSH host key of {url} is unknown or has changed.",
        (
            "Mount a known_hosts file (from `ssh-keyscan HOST`, compared with the keys that the host publishes) and set"
            " PREFECT_UV_SSH_KNOWN_HOSTS to its path."
        ),
    ),
    (
        (
            r"SSL certificate problem|certificate verification failed|certificate verify failed|CAfile|CApath|x509: "
            r"|no alternative certificate subject name|does not match target host"
        ),
        GitCertificateError,
        "The certificate of {url} is not trusted.",
        "Mount your CA bundle and set GIT_SSL_CAINFO (or SSL_CERT_FILE) to its path.",
    ),
    (
        (
            r"(?i)repository (?!or object ).*not found|remote: .*(repository|project) .*not (be )?found"
            r"|ERROR: Repository not found|does not appear to be a git repository|repository .*does not exist|TF401019"
        ),
        RepositoryNotFoundError,
        "There is no repository at {url}.",
        (
            "Correct the address in the deployment's git_clone step. Without credentials, a private repository looks"
            " like this too."
        ),
    ),
    (
        (
            r"Authentication failed|could not read Username|could not read Password|Permission denied \(|Access denied"
            r"|requested URL returned error: 40[13]|No user exists for uid|Authorization error: http"
        ),
        GitUnauthorizedError,
        "The git server refused access to {url}.",
        (
            "Give the deployment's git_clone step credentials that can read the repository, or mount an SSH key and set"
            " PREFECT_UV_SSH_KEY. Name variables of your own that a credential helper reads in"
            " PREFECT_UV_TOOL_VARIABLES."
        ),
    ),
    (
        (
            r"Remote branch .* not found|couldn't find remote ref|not our ref|unadvertised object|no such remote ref"
            r"|unable to read tree|did not match any file|reference is not a tree|unknown revision|bad object"
        ),
        RevisionNotFoundError,
        "There is no {revision} in {url}.",
        "Push it, or correct the deployment's git_clone step.",
    ),
    (
        (
            r"(?i)could not resolve|name resolution|connection (refused|timed out|reset|closed)|operation timed out"
            r"|operation too slow|network is unreachable|no route to host|failed to connect|could not connect"
            r"|couldn't connect|rpc failed|early eof|unexpected disconnect|hung up unexpectedly|recv failure|recv error"
            r"|ssl_error_syscall|kex_exchange|empty reply|transfer closed|returned error: (429|5\d\d)|broken pipe"
        ),
        GitUnreachableError,
        "The git server of {url} cannot be reached.",
        "Check this container's network, name resolution and proxy (HTTPS_PROXY, NO_PROXY).",
    ),
    (
        r"smudge filter lfs failed",
        LfsError,
        "Git LFS could not download files of {url}.",
        (
            "Push them with `git lfs push --all origin`, and give the git_clone step credentials that can read them. Or"
            " set GIT_LFS_SKIP_SMUDGE=1: then the flow finds pointer files in their places."
        ),
    ),
)


# git 2.47: a checkout does not say why it cannot write. https://github.com/git/git/blob/v2.47.0/entry.c (write_entry)
_UNWRITTEN = re.compile(r"unable to (?:write|create) (?:file|directory)")


def explain_git_failure(completed: CompletedCommand, url: str, revision: str, directory: Path) -> PrefectUvError:
    """The error for a failed git command: a full disk, or the first pattern that its stderr matches.

    Args:
        completed: the command.
        url: the repository.
        revision: the requested revision, in words.
        directory: the clone.
    """
    if says_disk_full(completed.stderr) or (_UNWRITTEN.search(completed.stderr) and not has_space(directory)):
        full = mount_point(reported_path(completed.stderr) or directory)
        return CheckoutFullError(
            f"No space is left on {full} for the clone of {url}.",
            f"{completed.report}\n{describe_space(full)}",
            "Give the container more ephemeral storage, or clone less with `directories` in the git_clone step.",
        )
    for pattern, error, headline, hint in _GIT_FAILURES:
        if re.search(pattern, completed.stderr):
            return error(headline.format(url=url, revision=revision), completed.report, hint)
    return CloneError(f"Git could not clone {url}.", completed.report)
