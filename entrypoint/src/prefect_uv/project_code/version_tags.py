"""The tags that a build backend computes a version from; a shallow clone has none, and no history to find them in."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from prefect_uv.git_access.clone import Clone
from prefect_uv.git_access.git_environment import git_environ
from prefect_uv.log.run_log import RunLog
from prefect_uv.package_names import normalized
from prefect_uv.processes.subprocesses import CompletedCommand, run_command
from prefect_uv.project.files.toml_tables import strings, table_at
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project_code.static_metadata import is_static
from prefect_uv.settings import Settings

# What a [build-system] requires that asks git for the version.
VERSION_PLUGINS = {
    "dunamai",
    "flit-scm",
    "hatch-vcs",
    "pbr",
    "poetry-dynamic-versioning",
    "setuptools-git-versioning",
    "setuptools-scm",
    "uv-dynamic-versioning",
    "versioneer",
    "versioningit",
}
_REQUIRED_NAME = re.compile(r"[\w.-]+")


def fetch_tags(packages: Iterable[LocalPackage], clones: Sequence[Clone], settings: Settings, log: RunLog) -> None:
    """Complete the clones of packages that take their version from git; warn if that is impossible.

    Args:
        packages: the packages to be built.
        clones: what this start has cloned; other repositories are left as they are.
        settings: name git's time limit, and say whether there is a network.
        log: gets what was fetched, and warnings.
    """
    fetched: set[str] = set()
    for package in filter(takes_version_from_git, packages):
        clone = next((clone for clone in clones if package.directory.is_relative_to(clone.directory)), None)
        access = (clone.url, clone.login) if clone else ("", None)
        environ = git_environ(settings, settings.environ, *access)
        facts = _git(package, "rev-parse", "--show-toplevel", "--is-shallow-repository", environ=environ).stdout
        repository, _, shallow = facts.strip().rpartition("\n")
        if not repository or repository in fetched:
            continue
        fetched.add(repository)
        trouble = "it is a shallow clone" if shallow == "true" else ""
        if clone and not settings.offline:
            trouble = _fetch(package, environ, settings.git_timeout, shallow=bool(trouble))
        if trouble:
            log.warning(f"the version of {package.name} may be wrong, because {repository} lacks git's tags: {trouble}")


def _fetch(package: LocalPackage, environ: Mapping[str, str], timeout: float, *, shallow: bool) -> str:
    """Fetch all tags, and history without the contents of old files; returns why that failed, or nothing."""
    extent = ("--tags", "--force", "--filter=blob:none", *(["--unshallow"] if shallow else []))
    try:
        completed = _git(package, "fetch", "--quiet", *extent, "origin", environ=environ, timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"they could not be fetched within {timeout:g} s"
    return completed.report if completed.exit_code else ""


def _git(
    package: LocalPackage, *arguments: str, environ: Mapping[str, str], timeout: float | None = None
) -> CompletedCommand:
    return run_command(["git", "-C", package.directory, *arguments], env=environ, timeout=timeout)


def takes_version_from_git(package: LocalPackage) -> bool:
    """Whether a package's build asks git for its version."""
    if is_static(package):
        return False
    requires = strings(table_at(package.document, "build-system").get("requires"))
    names = {normalized(name[0]) for name in map(_REQUIRED_NAME.match, requires) if name}
    from_scm = table_at(package.document, "tool", "pdm", "version").get("source") == "scm"
    return from_scm or not VERSION_PLUGINS.isdisjoint(names)
