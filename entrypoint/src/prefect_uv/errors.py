"""The catalogue of ways to stop on purpose, and their one rendering.

An exit code belongs to a family of errors (64 to 78: the shell, Docker and Prefect own the others),
a slug to each member. The table in the documentation is made from these classes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Kind = Literal["user", "tool", "bug"]

STDERR_LINES = 20


class PrefectUvError(Exception):
    """A stop on purpose: what happened, what was found, and how to mend it.

    Subclasses name their exit code, their slug and, in their docstring, when they are raised.
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
        """The whole text, for people: headline, what was found, hint."""
        parts = [f"error[{self.slug}]: {self.headline}", self.found, self.hint and f"hint: {self.hint}"]
        return "\n\n".join(part for part in parts if part)

    def summary(self) -> str:
        """Headline and hint in one line, for a state's message."""
        return f"error[{self.slug}]: {self.headline}" + (f" hint: {self.hint}" if self.hint else "")


def tool_report(command: str, exit_code: int, stderr: str) -> str:
    """What a failed tool leaves for the reader: its command, exit code and the last lines of its stderr."""
    lines = [line.rstrip() for line in stderr.strip().splitlines()][-STDERR_LINES:]
    return "\n".join([f"`{command}` exited with code {exit_code}:", *(f"    {line}" for line in lines)])


class UsageError(PrefectUvError):
    """A verb of prefect-uv was given arguments that it does not take, or not given what it needs."""

    exit_code, slug = 64, "usage"


class SettingsInvalidError(PrefectUvError):
    """Environment variables have values that cannot be read; all are named at once."""

    exit_code, slug = 65, "settings-invalid"


class SelectionInvalidError(SettingsInvalidError):
    """Groups, extras or a package are selected that the project does not have, or that exclude each other."""

    slug = "selection-invalid"


class VariableMissingError(SettingsInvalidError):
    """The Prefect Variable that PREFECT_UV_EXTRA_PACKAGES_VARIABLE names does not exist."""

    slug = "variable-missing"


class FlowRunNotFoundError(PrefectUvError):
    """The API does not know the flow run."""

    exit_code, slug = 66, "flow-run-not-found"


class DeploymentNotFoundError(FlowRunNotFoundError):
    """The flow run has no deployment, or it was deleted: nothing says where the code is."""

    slug = "deployment-not-found"


class ApiUnreachableError(PrefectUvError):
    """The Prefect API did not answer, after all retries."""

    exit_code, slug = 67, "api-unreachable"


class ApiRefusedError(PrefectUvError):
    """The Prefect API answered, and refused the request."""

    exit_code, slug = 68, "api-refused"


class ApiUnauthorizedError(ApiRefusedError):
    """The Prefect API did not accept the credentials (401, 403)."""

    slug = "api-unauthorized"


class PullStepError(PrefectUvError):
    """A pull step could not be performed as it is written."""

    exit_code, slug = 69, "pull-step-invalid"


class OfflineStepError(PullStepError):
    """A pull step needs the network, and PREFECT_UV_OFFLINE is set."""

    slug = "offline-step"


class InternalError(PrefectUvError):
    """A fault of prefect-uv itself, with its traceback."""

    exit_code, slug = 70, "internal"
    kind: ClassVar[Kind] = "bug"


class CloneError(PrefectUvError):
    """Git could not clone or update the repository, after retries."""

    exit_code, slug = 71, "clone-failed"
    kind: ClassVar[Kind] = "tool"


class RepositoryNotFoundError(CloneError):
    """The git server does not know the repository, or hides it without credentials."""

    slug = "repository-not-found"
    kind: ClassVar[Kind] = "user"


class RevisionNotFoundError(CloneError):
    """The repository has no such branch or commit."""

    slug = "revision-not-found"
    kind: ClassVar[Kind] = "user"


class GitUnauthorizedError(CloneError):
    """The git server did not accept the credentials, or wants some."""

    slug = "git-unauthorized"
    kind: ClassVar[Kind] = "user"


class GitUnreachableError(CloneError):
    """The git server did not answer or broke off, after retries."""

    slug = "git-unreachable"


class GitTimeoutError(CloneError):
    """Git did not finish within PREFECT_UV_GIT_TIMEOUT."""

    slug = "git-timeout"


class GitCertificateError(CloneError):
    """The git server's certificate is not trusted."""

    slug = "git-certificate-untrusted"
    kind: ClassVar[Kind] = "user"


class HostKeyUnknownError(CloneError):
    """The git server's SSH host key is not known, or is another one."""

    slug = "host-key-unknown"
    kind: ClassVar[Kind] = "user"


class CheckoutFullError(CloneError):
    """No space is left where the code is cloned to."""

    slug = "checkout-full"


class OfflineCodeError(CloneError):
    """PREFECT_UV_OFFLINE is set, and the cache volume has no clone of the repository or not the wanted commit."""

    slug = "offline-code-missing"
    kind: ClassVar[Kind] = "user"


class ProjectMissingError(PrefectUvError):
    """PREFECT_UV_PROJECT names no project."""

    exit_code, slug = 72, "project-missing"


class ProjectInvalidError(ProjectMissingError):
    """The project's files cannot be read by uv."""

    slug = "project-invalid"


class FlowFileMissingError(ProjectMissingError):
    """The deployment's entrypoint names a file that is not in the working directory."""

    slug = "flow-file-missing"


class RequirementsMissingError(ProjectMissingError):
    """A requirements file that a setting or another file names is not there."""

    slug = "requirements-missing"


class DependencyUnreachableError(ProjectMissingError):
    """A dependency from a directory beside the project was not pulled with it."""

    slug = "dependency-unreachable"


class SourceRootMissingError(ProjectMissingError):
    """PREFECT_UV_SOURCE_ROOT names a directory that is not in the pulled code."""

    slug = "source-root-missing"


class LockfileMissingError(PrefectUvError):
    """The project has no uv.lock."""

    exit_code, slug = 73, "lockfile-missing"


class LockfileStaleError(LockfileMissingError):
    """uv.lock does not fit pyproject.toml, and PREFECT_UV_LOCK=locked forbids to go on."""

    slug = "lockfile-stale"


class PrefectMissingError(PrefectUvError):
    """The selected dependencies do not contain Prefect."""

    exit_code, slug = 74, "prefect-missing"


class PythonMissingError(PrefectUvError):
    """The image has no Python that the project accepts."""

    exit_code, slug = 75, "python-missing"


class SyncError(PrefectUvError):
    """uv could not build the environment."""

    exit_code, slug = 76, "sync-failed"
    kind: ClassVar[Kind] = "tool"


class PackageNotFoundError(SyncError):
    """A package, or a file that was locked, is not on the index, or has no wheel where nothing may be built."""

    slug = "package-not-found"
    kind: ClassVar[Kind] = "user"


class UnresolvableError(SyncError):
    """No versions of the requirements fit together, or one of them is not on the index."""

    slug = "unresolvable"
    kind: ClassVar[Kind] = "user"


class ExtrasConflictError(SyncError):
    """An extra package of the deployment does not fit a package of the project's environment."""

    slug = "extras-conflict"
    kind: ClassVar[Kind] = "user"


class OfflineMissingError(SyncError):
    """Packages or files that are needed are neither on the volume nor among the wheels, and no index may be asked."""

    slug = "offline-missing"
    kind: ClassVar[Kind] = "user"


class HashMismatchError(SyncError):
    """A downloaded file is not the one that was locked."""

    slug = "hash-mismatch"
    kind: ClassVar[Kind] = "user"


class IndexUnreachableError(SyncError):
    """A package index did not answer, or refused."""

    slug = "index-unreachable"


class EnvironmentDamagedError(SyncError):
    """uv reported success, and the environment is not whole."""

    slug = "environment-damaged"


class BakedMismatchError(SyncError):
    """No environment baked into the image fits the project, and PREFECT_UV_BAKED=refuse forbids to build one."""

    slug = "baked-mismatch"
    kind: ClassVar[Kind] = "user"


class ProjectBuildError(SyncError):
    """The project, or a directory that it depends on, could not be built and installed."""

    slug = "project-build-failed"


class VolumeFullError(PrefectUvError):
    """No space is left where the environment is built."""

    exit_code, slug = 77, "volume-full"


class VolumeUnusableError(VolumeFullError):
    """Neither the cache volume nor any other place in the container can hold an environment."""

    slug = "volume-unusable"


class LaunchError(PrefectUvError):
    """The engine's process could not be started."""

    exit_code, slug = 78, "launch-failed"
    kind: ClassVar[Kind] = "tool"
