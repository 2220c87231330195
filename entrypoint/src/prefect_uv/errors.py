"""All errors that prefect-uv reports, in the order of the exit codes, and how an error is rendered.

A family of errors shares an exit code, from 64 to 78, because the shell, Docker and Prefect use the others (ADR 3).
Each error has its own slug. `make generate` writes the table of errors in the documentation from the docstrings here.

Shell: https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html
Docker: https://docs.docker.com/engine/containers/run/#exit-status
Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/_internal/infrastructure_exit_codes.py
"""

from __future__ import annotations

from typing import ClassVar, Literal

Kind = Literal["user", "tool", "bug"]

STDERR_LINES = 20


class PrefectUvError(Exception):
    """The base of all errors: an error says what happened, what was found, and how to fix it.

    Attributes:
        exit_code: the container's exit code, shared by a family of errors.
        slug: the error's name in the log and in the documentation.
        kind: `user` if the user can fix it, `tool` if another program failed, `bug` if prefect-uv is at fault.
        headline: one sentence about what happened.
        found: the details, of any length; may be empty.
        hint: what to do about it; may be empty.
    """

    exit_code: ClassVar[int] = 70
    slug: ClassVar[str] = ""
    kind: ClassVar[Kind] = "user"

    def __init__(self, headline: str, found: str = "", hint: str = "") -> None:
        super().__init__(headline)
        self.headline = headline
        self.found = found
        self.hint = hint

    def render(self) -> str:
        """The complete text for the log: headline, what was found, hint."""
        parts = [f"error[{self.slug}]: {self.headline}", self.found, self.hint and f"hint: {self.hint}"]
        return "\n\n".join(part for part in parts if part)

    def summary(self) -> str:
        """Headline and hint on one line, for the message of the Crashed state."""
        return f"error[{self.slug}]: {self.headline}" + (f" hint: {self.hint}" if self.hint else "")


def tool_report(command: str, exit_code: int, stderr: str) -> str:
    """Describe a failed tool: its command, its exit code and the last 20 lines of its stderr."""
    lines = [line.rstrip() for line in stderr.strip().splitlines()][-STDERR_LINES:]
    return "\n".join([f"`{command}` exited with code {exit_code}:", *(f"    {line}" for line in lines)])


class UsageError(PrefectUvError):
    """A `prefect-uv` command got unknown arguments, or lacks required ones."""

    exit_code, slug = 64, "usage"


class TemplateMissingError(UsageError):
    """`prefect-uv template` has no worker's default to start from."""

    slug = "template-missing"


class TemplateUnknownError(UsageError):
    """The document is not the default base job template of the worker that was named, or of an unknown version."""

    slug = "template-unknown"


class SettingsInvalidError(PrefectUvError):
    """Settings are missing or have invalid values; all of them are reported together."""

    exit_code, slug = 65, "settings-invalid"


class SelectionInvalidError(SettingsInvalidError):
    """The project has no such group, extra or package, or the selected ones conflict with each other."""

    slug = "selection-invalid"


class VariableMissingError(SettingsInvalidError):
    """The Prefect Variable named by PREFECT_UV_EXTRA_PACKAGES_VARIABLE does not exist."""

    slug = "variable-missing"


class FlowRunNotFoundError(PrefectUvError):
    """The Prefect API has no such flow run."""

    exit_code, slug = 66, "flow-run-not-found"


class DeploymentNotFoundError(FlowRunNotFoundError):
    """The flow run has no deployment, or its deployment was deleted, so there is no telling where its code is."""

    slug = "deployment-not-found"


class ApiUnreachableError(PrefectUvError):
    """The Prefect API did not answer, or was unavailable, even after all retries."""

    exit_code, slug = 67, "api-unreachable"


class ApiRefusedError(PrefectUvError):
    """The Prefect API rejected a request, or the address is not that of a Prefect API."""

    exit_code, slug = 68, "api-refused"


class ApiUnauthorizedError(ApiRefusedError):
    """The Prefect API rejected the credentials (401, 403)."""

    slug = "api-unauthorized"


class PullStepError(PrefectUvError):
    """A pull step is invalid, or failed."""

    exit_code, slug = 69, "pull-step-invalid"


class CodeArchiveError(PullStepError):
    """The code that was pushed when the deployment was made cannot be fetched, or is not the same any more."""

    slug = "code-archive"


class OfflineStepError(PullStepError):
    """A pull step needs the network, but PREFECT_UV_OFFLINE is set."""

    slug = "offline-step"


class BundleInvalidError(PullStepError):
    """The bundle with which a flow was submitted does not exist here, cannot be read, or is no bundle."""

    slug = "bundle-invalid"


class InternalError(PrefectUvError):
    """A bug in prefect-uv; the log has the traceback."""

    exit_code, slug = 70, "internal"
    kind: ClassVar[Kind] = "bug"


class CloneError(PrefectUvError):
    """Git could not clone or update the repository, even after retries."""

    exit_code, slug = 71, "clone-failed"
    kind: ClassVar[Kind] = "tool"


class RepositoryNotFoundError(CloneError):
    """The git server has no such repository, or does not show it without credentials."""

    slug = "repository-not-found"
    kind: ClassVar[Kind] = "user"


class RevisionNotFoundError(CloneError):
    """The repository has no such branch or commit."""

    slug = "revision-not-found"
    kind: ClassVar[Kind] = "user"


class GitUnauthorizedError(CloneError):
    """The git server rejected the credentials, or requires some."""

    slug = "git-unauthorized"
    kind: ClassVar[Kind] = "user"


class GitUnreachableError(CloneError):
    """The git server did not answer, or dropped the connection, even after retries."""

    slug = "git-unreachable"


class GitTimeoutError(CloneError):
    """A git command did not finish within PREFECT_UV_GIT_TIMEOUT."""

    slug = "git-timeout"


class GitCertificateError(CloneError):
    """The git server's certificate is not trusted."""

    slug = "git-certificate-untrusted"
    kind: ClassVar[Kind] = "user"


class HostKeyUnknownError(CloneError):
    """The git server's SSH host key is unknown, or has changed."""

    slug = "host-key-unknown"
    kind: ClassVar[Kind] = "user"


class AddressRefusedError(CloneError):
    """Git does not read from this kind of address: `ext::`, `fd::`, or a submodule in a local directory."""

    slug = "address-refused"
    kind: ClassVar[Kind] = "user"


class LfsError(CloneError):
    """Git LFS could not download files of the repository."""

    slug = "lfs-failed"


class CheckoutFullError(CloneError):
    """No space is left where the code is cloned."""

    slug = "checkout-full"


class OfflineCodeError(CloneError):
    """PREFECT_UV_OFFLINE is set, but the cache volume has no clone of the repository, or the clone lacks the commit."""

    slug = "offline-code-missing"
    kind: ClassVar[Kind] = "user"


class ProjectMissingError(PrefectUvError):
    """There is no project where PREFECT_UV_PROJECT points."""

    exit_code, slug = 72, "project-missing"


class ProjectInvalidError(ProjectMissingError):
    """The project's files are invalid, or not readable."""

    slug = "project-invalid"


class FlowFileMissingError(ProjectMissingError):
    """The deployment's entrypoint names a file that is not in the pulled code."""

    slug = "flow-file-missing"


class RequirementsMissingError(ProjectMissingError):
    """A requirements file that a setting or another file names does not exist."""

    slug = "requirements-missing"


class LocalDependencyMissingError(ProjectMissingError):
    """The project depends on a local directory or file that was not pulled."""

    slug = "dependency-unreachable"


class SourceRootMissingError(ProjectMissingError):
    """PREFECT_UV_SOURCE_ROOT names a directory that is not in the pulled code."""

    slug = "source-root-missing"


class LockfileMissingError(PrefectUvError):
    """The project has neither a uv.lock nor a pylock.toml, or several of the latter."""

    exit_code, slug = 73, "lockfile-missing"


class OtherToolError(LockfileMissingError):
    """The dependencies are declared for Poetry or Pipenv, without a pylock.toml or a requirements.txt that has them."""

    slug = "other-tool"


class LockfileStaleError(LockfileMissingError):
    """uv.lock does not match pyproject.toml, and PREFECT_UV_LOCK is `locked`."""

    slug = "lockfile-stale"


class LockfileUnsuitableError(LockfileMissingError):
    """The lockfile was made for other platforms or other versions of Python."""

    slug = "lockfile-unsuitable"


class PrefectMissingError(PrefectUvError):
    """Prefect is not among the selected dependencies."""

    exit_code, slug = 74, "prefect-missing"


class PythonMissingError(PrefectUvError):
    """No Python that the project accepts is available."""

    exit_code, slug = 75, "python-missing"


class SyncError(PrefectUvError):
    """uv could not build the environment."""

    exit_code, slug = 76, "sync-failed"
    kind: ClassVar[Kind] = "tool"


class PackageNotFoundError(SyncError):
    """A package or a locked file is not on the index, or has no wheel and may not be built from source."""

    slug = "package-not-found"
    kind: ClassVar[Kind] = "user"


class UnresolvableError(SyncError):
    """No set of versions satisfies all requirements, or one of them is not on the index."""

    slug = "unresolvable"
    kind: ClassVar[Kind] = "user"


class ExtraPackagesConflictError(SyncError):
    """An extra package of the deployment conflicts with a package in the project's environment."""

    slug = "extras-conflict"
    kind: ClassVar[Kind] = "user"


class OfflinePackageMissingError(SyncError):
    """Packages are neither on the cache volume nor in the wheel directory, and no index may be used."""

    slug = "offline-missing"
    kind: ClassVar[Kind] = "user"


class HashMismatchError(SyncError):
    """A downloaded file does not have the hash that was locked."""

    slug = "hash-mismatch"
    kind: ClassVar[Kind] = "user"


class IndexUnreachableError(SyncError):
    """A package index did not answer, or answered with an error."""

    slug = "index-unreachable"


class IndexUnauthorizedError(IndexUnreachableError):
    """A package index rejected the credentials, or requires some (401, 403)."""

    slug = "index-unauthorized"
    kind: ClassVar[Kind] = "user"


class PackageBuildError(SyncError):
    """A package has no wheel that fits, and could not be built from source."""

    slug = "package-build-failed"


class MalwareFoundError(SyncError):
    """UV_MALWARE_CHECK is set, and a locked package is known as malware."""

    slug = "malware-found"
    kind: ClassVar[Kind] = "user"


class MalwareUncheckedError(SyncError):
    """UV_MALWARE_CHECK is set, but uv could not ask which packages are known as malware."""

    slug = "malware-unchecked"


class EnvironmentDamagedError(SyncError):
    """uv reported success, but the environment is incomplete or damaged."""

    slug = "environment-damaged"


class BakedMismatchError(SyncError):
    """No environment in the image or mounted there fits the project, and PREFECT_UV_BAKED is `refuse`."""

    slug = "baked-mismatch"
    kind: ClassVar[Kind] = "user"


class EnvironmentUnknownError(SyncError):
    """No environment, or more than one, has the key that `prefect-uv export` was given."""

    slug = "environment-unknown"
    kind: ClassVar[Kind] = "user"


class ImageNotFoundError(SyncError):
    """The registry or the directory has no such image, or lacks a part of it."""

    slug = "image-not-found"
    kind: ClassVar[Kind] = "user"


class ImageInvalidError(SyncError):
    """An image has another content than its digest says, no environment of ours, or one for another image of ours."""

    slug = "image-invalid"
    kind: ClassVar[Kind] = "user"


class RegistryUnreachableError(SyncError):
    """A registry did not answer, or dropped the connection, even after retries."""

    slug = "registry-unreachable"


class RegistryUnauthorizedError(SyncError):
    """A registry rejected the credentials, or requires some; or they cannot be read."""

    slug = "registry-unauthorized"
    kind: ClassVar[Kind] = "user"


class RegistryRefusedError(SyncError):
    """A registry rejected a request, or did not answer as registries do."""

    slug = "registry-refused"


class PolicyViolatedError(SyncError):
    """The environment violates the policy, and PREFECT_UV_POLICY is `refuse`."""

    slug = "policy-violated"
    kind: ClassVar[Kind] = "user"


class PolicyUnknownError(PolicyViolatedError):
    """PREFECT_UV_POLICY is `refuse`, and it was never possible to ask for the advisories about this environment."""

    slug = "policy-unknown"
    kind: ClassVar[Kind] = "tool"


class ProjectBuildError(SyncError):
    """The project, or a local package it depends on, could not be built and installed."""

    slug = "project-build-failed"


class VolumeFullError(PrefectUvError):
    """No space is left on the cache volume."""

    exit_code, slug = 77, "volume-full"


class DiskFullError(VolumeFullError):
    """No space is left on another file system than the cache volume, such as `/tmp`."""

    slug = "disk-full"


class VolumeUnusableError(VolumeFullError):
    """Neither the cache volume nor any other directory in the container can hold an environment."""

    slug = "volume-unusable"


class TemporaryDirectoryMissingError(VolumeFullError):
    """Temporary files can be written neither to /tmp nor to the cache volume."""

    slug = "temporary-directory-missing"


class LaunchError(PrefectUvError):
    """The engine or the command could not be started."""

    exit_code, slug = 78, "launch-failed"
    kind: ClassVar[Kind] = "tool"


class WrapperMissingError(LaunchError):
    """Neither the environment nor the image has the program or module that PREFECT_UV_ENGINE_WRAPPER names."""

    slug = "wrapper-missing"
    kind: ClassVar[Kind] = "user"
