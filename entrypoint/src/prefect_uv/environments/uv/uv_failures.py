"""Explanations of uv's failures, by the texts that it prints.

uv 0.13.8: promises none of these texts (tests/unit/environments/plan/test_uv_variables.py and test_refused_sources.py
make uv say them). https://docs.astral.sh/uv/reference/policies/versioning/
"""

from __future__ import annotations

import re
from pathlib import Path

from prefect_uv.cache_volume.full_disk import disk_full_error, reported_path, says_disk_full
from prefect_uv.environments.uv.named_failures import named_failure
from prefect_uv.errors import (
    HashMismatchError,
    IndexUnreachableError,
    LockfileStaleError,
    LockfileUnsuitableError,
    PackageNotFoundError,
    PrefectUvError,
    ProjectInvalidError,
    PythonMissingError,
    SelectionInvalidError,
    SettingsInvalidError,
    SyncError,
    UnresolvableError,
    VolumeUnusableError,
)
from prefect_uv.processes.subprocesses import CompletedCommand

_UV_FAILURES: tuple[tuple[str, type[PrefectUvError], str, str], ...] = (
    (
        r"Failed to parse environment variable|error: invalid value '|error: the argument '.*' cannot be used with",
        SettingsInvalidError,
        "uv does not accept one of its variables as it is set.",
        "Correct or remove the variable in uv's report; `--no-sources` there stands for UV_NO_SOURCES.",
    ),
    (
        r"(?m)^error: (?:File not found: |failed to (?:open|read from) file `.*: (?:No such|Is a))",
        SettingsInvalidError,
        "uv cannot read a file that one of its variables names.",
        "Mount it, or correct UV_CONSTRAINT, UV_OVERRIDE, UV_BUILD_CONSTRAINT, UV_EXCLUDE or UV_CONFIG_FILE.",
    ),
    (
        r"incompatible with the (?:declared )?conflicts",
        SelectionInvalidError,
        "The selected groups or extras conflict with each other.",
        "Select only one of those that uv's report names, or change `conflicts` in [tool.uv] and lock again.",
    ),
    (
        r"is marked as unmanaged",
        ProjectInvalidError,
        "The project does not allow uv to manage it.",
        "Remove `managed = false` from [tool.uv]; or name requirements files in PREFECT_UV_REQUIREMENTS.",
    ),
    (
        r"malformed dependency groups",
        ProjectInvalidError,
        "uv cannot read the project's dependency groups.",
        "Fix [dependency-groups] as uv's report says, lock again, commit, and push.",
    ),
    (
        r"lockfile .* needs to be updated",
        LockfileStaleError,
        "The lockfile no longer matches pyproject.toml or the script.",
        (
            "Run `uv lock` (`uv lock --script FILE` for a script), commit the lockfile, and push;"
            " or set PREFECT_UV_LOCK=frozen to install what the lockfile says."
        ),
    ),
    (
        r"not supported by the lockfile|lockfile's supported environments|but the target Python version is",
        LockfileUnsuitableError,
        "The lockfile is not for this platform or this Python.",
        "Lock again for Linux and for this Python (`environments` in uv's settings), or use an image that fits.",
    ),
    (
        r"No interpreter found|incompatible with the project's Python requirement",
        PythonMissingError,
        "The image has no Python that the project accepts.",
        "Use an image that has one (py310 to py314, or built with Dockerfile.py312); or change the version asked for.",
    ),
    (
        r"(?:Group|Extra) `.*` is not defined",
        SelectionInvalidError,
        "The project does not define a selected group or extra.",
        "Correct PREFECT_UV_GROUPS, PREFECT_UV_ONLY_GROUPS or PREFECT_UV_EXTRAS, or define it in pyproject.toml.",
    ),
    (
        r"Failed to initialize cache|Permission denied \(os error 13\)",
        VolumeUnusableError,
        "uv's cache on the volume belongs to another user.",
        "Run all containers that share the volume as one uid or in group 0; or delete uv's cache on it.",
    ),
    (
        r"Hash mismatch",
        HashMismatchError,
        "A downloaded package is not the one in the lockfile.",
        "If it was rebuilt on purpose, lock it again (`uv lock --upgrade-package NAME`); if not, find out why.",
    ),
    (
        r"could not be queried",
        IndexUnreachableError,
        "uv could not fetch from a package index.",
        "Check UV_DEFAULT_INDEX or UV_INDEX and their credentials.",
    ),
    (
        r"Git operation failed[\s\S]*(?:Host key verification failed|HOST IDENTIFICATION HAS CHANGED)",
        IndexUnreachableError,
        "The SSH host key of a dependency's git server is unknown or has changed.",
        "Mount a known_hosts file and set PREFECT_UV_SSH_KNOWN_HOSTS to its path.",
    ),
    (
        (
            r"Git operation failed[\s\S]*(?:Authentication failed|could not read (?:Username|Password)"
            r"|Permission denied \(|returned error: 40[13]|Repository not found)"
        ),
        IndexUnreachableError,
        "A git server refused access to a dependency.",
        (
            "For a dependency on the clone's own host, set PREFECT_UV_GIT_LOGIN_FOR_DEPENDENCIES=true; for an ssh"
            " address, mount a key and set PREFECT_UV_SSH_KEY."
        ),
    ),
    (
        r"Git operation failed",
        IndexUnreachableError,
        "uv could not fetch from a git repository.",
        "Check its address, the branch or commit, its credentials, and the network.",
    ),
    (
        r"404 Not Found|was not found in the package registry",
        PackageNotFoundError,
        "A package is not on the index.",
        "Check its name, UV_DEFAULT_INDEX and UV_INDEX; if it was locked with another index, run `uv lock` again.",
    ),
    (
        r"Building source distributions is disabled|is marked as `--no-build`",
        PackageNotFoundError,
        "A package has no wheel, and uv may not build one here.",
        "Put its wheel (`uv build --wheel`) into the directory that PREFECT_UV_WHEELS names; or unset UV_NO_BUILD.",
    ),
    (
        r"No solution found",
        UnresolvableError,
        "No versions of the requirements fit together.",
        "Change the requirements as uv's report says; for a package that is on another index, set UV_INDEX.",
    ),
    (
        r"error sending request|[Cc]onnection|dns error|timed out|HTTP status|end of file|connectivity",
        IndexUnreachableError,
        "uv could not fetch from a package index.",
        "Check the network, UV_DEFAULT_INDEX or UV_INDEX and their credentials, SSL_CERT_FILE and the proxy variables.",
    ),
    (
        r"unsupported schema version|Required uv version",
        ProjectInvalidError,
        "The project needs a different uv than the image has.",
        "Use an image with that uv; or lock with the image's uv, and allow it in `required-version`.",
    ),
    (
        r"the start of a requirement|Couldn't parse requirement|Distribution not found at",
        UnresolvableError,
        "uv cannot parse a requirement.",
        "Write requirements as `name==1.0`, separated by spaces, or one per line as in a requirements file.",
    ),
    (
        r"Failed to parse|TOML parse error",
        ProjectInvalidError,
        "uv cannot read the project's files.",
        "Run `uv lock --check` in the project and fix what it reports.",
    ),
)


def explain_uv_failure(finished: CompletedCommand, volume: Path) -> PrefectUvError:
    """The error of the catalogue for a failed uv command: the first pattern that matches its stderr decides.

    A full disk comes first, because it may make anything fail; then what has a name in the report.

    Args:
        finished: the command.
        volume: the cache directory.
    """
    if says_disk_full(finished.stderr):
        return disk_full_error(reported_path(finished.stderr), finished.report, volume)
    if named := named_failure(finished):
        return named
    for pattern, error, headline, hint in _UV_FAILURES:
        if re.search(pattern, finished.stderr):
            return error(headline, finished.report, hint)
    return SyncError("uv could not build the environment.", finished.report)
