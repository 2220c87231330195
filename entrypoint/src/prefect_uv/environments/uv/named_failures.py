"""uv's failures whose error names what uv's report says: the package, what its build lacks, the index, the malware.

uv 0.13.8: promises none of these texts; tests/unit/environments/plan/test_named_failures.py makes uv say them.
https://docs.astral.sh/uv/reference/policies/versioning/
"""

from __future__ import annotations

import re

from prefect_uv.environments.uv.debian_packages import missing_tool
from prefect_uv.errors import (
    IndexUnauthorizedError,
    MalwareFoundError,
    MalwareUncheckedError,
    OfflinePackageMissingError,
    PackageBuildError,
    SyncError,
)
from prefect_uv.processes.subprocesses import CompletedCommand

LAST_LINE_CHARACTERS = 300
_MALWARE = re.compile(r"^ +- `([^`]+)`: (MAL-\S+)", re.MULTILINE)
_FAILED_BUILD = re.compile(
    r"Failed to (?:download and )?build `([^`]+)`\n +cause: The build backend returned an error(.*?)(?:\n\nhint:|\Z)",
    re.DOTALL,
)
_UNAUTHORIZED = re.compile(
    r"index (?:URL )?\((?P<index>\S+)\) .*?(?P<refused>401 Unauthorized|403 Forbidden)"
    r"|\((?P<status>401 Unauthorized|403 Forbidden)\) for url \((?P<url>\S+)\)"
)
_OFFLINE = re.compile(r"network (?:connectivity )?(?:was|is) disabled", re.IGNORECASE)
_NAMED_PACKAGE = re.compile(
    r"Failed to (?:download|fetch|build|download and build) `([^`]+)`"
    r"|Because (\S+) was not found in the|there is no version of (\S+)"
)


def named_failure(finished: CompletedCommand) -> SyncError | None:
    """The error that names what failed, or None; builds come first, because their output may have any words."""
    explanations = (_malware, _failed_build, _offline, _unauthorized)
    return next(filter(None, (explain(finished) for explain in explanations)), None)


def offline_missing(finished: CompletedCommand) -> OfflinePackageMissingError:
    """The error that names the packages that uv could not get without a network or from the wheel directory."""
    named = dict.fromkeys(name for names in _NAMED_PACKAGE.findall(finished.stderr) for name in names if name)
    what = ", ".join(named) or "what uv's report names"
    return OfflinePackageMissingError(
        f"No index may be used, and neither uv's cache nor the wheel directory has {what}.",
        finished.report,
        "Warm the volume with `prefect-uv sync` where there is a network; or put the wheels into a directory and set"
        " PREFECT_UV_WHEELS.",
    )


def _malware(finished: CompletedCommand) -> SyncError | None:
    if "Malware check failed" in finished.stderr:
        return MalwareUncheckedError(
            "uv could not ask whether the packages are known as malware.",
            finished.report,
            "Check the network, the proxy variables and UV_MALWARE_CHECK_URL; or set UV_MALWARE_CHECK=0.",
        )
    if "Malware detected" not in finished.stderr:
        return None
    packages = ", ".join(f"{package} ({advisory})" for package, advisory in _MALWARE.findall(finished.stderr))
    return MalwareFoundError(
        f"Packages are known as malware: {packages or 'those in the report of uv'}.",
        finished.report,
        "Lock other versions, commit and push, and find out what has run already; if the report is wrong, set"
        " UV_MALWARE_CHECK=0.",
    )


def _failed_build(finished: CompletedCommand) -> SyncError | None:
    failed = _FAILED_BUILD.search(finished.stderr)
    if not failed:
        return None
    package, output = failed.groups()
    if tool := missing_tool(output):
        reason, remedy = f"{tool.name} is missing.", f"{tool.remedy}; or depend on a version that has a wheel."
    else:
        last_line = output.strip().rpartition("\n")[2].strip()
        reason = f"the build's last line is: {last_line[:LAST_LINE_CHARACTERS]}"
        remedy = "Depend on a version that has a wheel for this Python, or fix what the build's output names."
    return PackageBuildError(f"{package} could not be built from source: {reason}", finished.report, remedy)


def _offline(finished: CompletedCommand) -> SyncError | None:
    return offline_missing(finished) if _OFFLINE.search(finished.stderr) else None


def _unauthorized(finished: CompletedCommand) -> SyncError | None:
    refused = _UNAUTHORIZED.search(finished.stderr)
    if not refused:
        return None
    index, status = refused["index"] or refused["url"], refused["refused"] or refused["status"]
    return IndexUnauthorizedError(
        f"The package index answered {status} for {index}.",
        finished.report,
        "Set its credentials, such as UV_INDEX_NAME_USERNAME and UV_INDEX_NAME_PASSWORD, or correct them; they need"
        " access to this package.",
    )
