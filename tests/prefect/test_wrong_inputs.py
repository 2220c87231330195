"""Each wrong input has its own error on stderr, in the flow run's log and in its state."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

import pytest

from tests.pins import PREFECT
from tests.prefect.conftest import PROJECTS
from tests.stack import CacheVolume, PackageIndex, Repository, Stack, git_clone
from tests.stack.process import free_port

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

SMALL = {"type": "tmpfs", "device": "tmpfs", "o": "size=24m,mode=1777"}
PINNED = f'"prefect=={PREFECT}"'
INDEX = "http://index.invalid/simple"


@dataclass(frozen=True)
class Attempt:
    """The flow run and the variables that a container is started with."""

    flow_run: UUID | str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """The servers and repositories that a case is arranged with."""

    stack: Stack
    index: PackageIndex
    plain: Repository

    def attempt(self, url: str, entrypoint: str = "flows.py:hello", branch: str = "main") -> Attempt:
        """A new flow run of a new deployment, in the state Pending that a worker leaves it in."""
        deployment = self.stack.api.deploy(f"wrong-{uuid4().hex[:8]}", entrypoint, [git_clone(url, branch)])
        flow_run = self.stack.api.create_run(deployment)
        self.stack.api.submit(flow_run)
        return Attempt(flow_run)

    def project(self, name: str, *, lock: bool = True) -> Attempt:
        """A flow run of a project of tests/projects."""
        return self.attempt(self.stack.git.create(name, PROJECTS / name, lock=lock).url)

    def indexed(self) -> Attempt:
        """A flow run of a project that is locked with a package from the local index."""
        name = f"local-index-{uuid4().hex[:8]}"
        return self.attempt(self.stack.git.create(name, PROJECTS / "local-index", replace={INDEX: self.index.url}).url)


def bad_flow_run_id(_: Scene) -> Attempt:
    """PREFECT__FLOW_RUN_ID is not a UUID."""
    return Attempt("not-a-uuid")


def invalid_setting(scene: Scene) -> Attempt:
    """A job variable has a value that does not exist."""
    return replace(scene.attempt(scene.plain.url), environment={"PREFECT_UV_LOCK": "thawed"})


def unknown_flow_run(_: Scene) -> Attempt:
    """The API has no such flow run."""
    return Attempt("00000000-0000-4000-8000-000000000000")


def api_down(scene: Scene) -> Attempt:
    """No server listens at PREFECT_API_URL."""
    gateway = scene.stack.containers.gateway
    address = f"http://{gateway}:{free_port(gateway)}/api"
    environment = {"PREFECT_API_URL": address, "PREFECT_CLIENT_MAX_RETRIES": "2", "PREFECT_UV_API_WAIT_SECONDS": "1"}
    return Attempt(scene.attempt(scene.plain.url).flow_run, environment)


def wrong_password(scene: Scene) -> Attempt:
    """The server requires another auth string."""
    return Attempt(scene.attempt(scene.plain.url).flow_run, {"PREFECT_API_AUTH_STRING": "admin:wrong"})


def deployment_deleted(scene: Scene) -> Attempt:
    """The deployment was deleted after the run was created."""
    attempt = scene.attempt(scene.plain.url)
    client = scene.stack.api.client
    deployment = client.read_flow_run(UUID(str(attempt.flow_run))).deployment_id
    assert deployment is not None
    client.delete_deployment(deployment)
    return attempt


def no_such_repository(scene: Scene) -> Attempt:
    """The git server responds with 404."""
    return scene.attempt(scene.plain.url.replace("plain", "nowhere"))


def no_such_branch(scene: Scene) -> Attempt:
    """The repository does not have the branch."""
    return scene.attempt(scene.plain.url, branch="nowhere")


def flow_file_missing(scene: Scene) -> Attempt:
    """The entrypoint names a file that is not in the repository."""
    return scene.attempt(scene.plain.url, entrypoint="nowhere.py:hello")


def no_such_project(scene: Scene) -> Attempt:
    """The deployment names a directory without a project."""
    return replace(scene.project("no-pyproject", lock=False), environment={"PREFECT_UV_PROJECT": "etl"})


def no_lockfile(scene: Scene) -> Attempt:
    """uv.lock was not committed."""
    return scene.project("no-lockfile", lock=False)


def stale_lockfile(scene: Scene) -> Attempt:
    """A dependency was added after `uv lock`."""
    repository = scene.stack.git.create("stale-lockfile", PROJECTS / "stale-lockfile")
    path = repository.work / "pyproject.toml"
    path.write_text(path.read_text().replace(PINNED, f'{PINNED}, "humanize"'))
    repository.commit("Add humanize")
    return scene.attempt(repository.url)


def no_prefect(scene: Scene) -> Attempt:
    """Prefect is not among the project's dependencies."""
    return scene.project("no-prefect")


def other_python(scene: Scene) -> Attempt:
    """requires-python excludes every Python of the image."""
    return scene.project("other-python")


def pinned_python(scene: Scene) -> Attempt:
    """.python-version names a Python that the image does not have."""
    return scene.project("pinned-python")


def no_compiler(scene: Scene) -> Attempt:
    """The project has a C extension and is to be installed, but the images have no compiler."""
    url = scene.stack.git.create("compiled", PROJECTS / "compiled").url
    return replace(scene.attempt(url, "sums.flows:hello"), environment={"PREFECT_UV_INSTALL_PROJECT": "true"})


def package_removed(scene: Scene) -> Attempt:
    """A locked wheel is no longer on the index."""
    attempt = scene.indexed()
    scene.index.files.clear()
    return attempt


def package_changed(scene: Scene) -> Attempt:
    """The index has another wheel with the locked name."""
    attempt = scene.indexed()
    scene.index.publish("trinket", "1.0", "SAYS = 'clank'\n")
    return attempt


def index_stopped(scene: Scene) -> Attempt:
    """The index is down, and its package is in no cache."""
    with PackageIndex.start(scene.stack.containers.gateway) as index:
        index.publish("trinket", "1.0", f"SAYS = 'clink {uuid4()}'\n")
        attempt = Scene(scene.stack, index, scene.plain).indexed()
    return Attempt(attempt.flow_run, {"UV_HTTP_RETRIES": "1"})


def full_volume(scene: Scene) -> Attempt:
    """The cache volume is smaller than the environment."""
    return scene.attempt(scene.plain.url)


@dataclass(frozen=True)
class Case:
    """A wrong input and the error that it must end in.

    Attributes:
        arrange: prepares the flow run.
        slug: the error's slug.
        exit_code: the container's exit code.
        pattern: a regular expression that stderr must match.
        reported: whether the API learns of the error, in the run's log and state.
        volume: the options of a separate cache volume.
        elsewhere: the test that holds the error's text, so that only `make test-all` runs the case.
    """

    arrange: Callable[[Scene], Attempt]
    slug: str
    exit_code: int
    pattern: str
    reported: bool = True
    volume: Mapping[str, str] | None = None
    elsewhere: str = ""


REFUSED_SOURCES = "tests/unit/environments/plan/test_refused_sources.py"
CASES = (
    Case(bad_flow_run_id, "settings-invalid", 65, "not-a-uuid", reported=False),
    Case(invalid_setting, "settings-invalid", 65, "PREFECT_UV_LOCK=thawed is not one of"),
    Case(unknown_flow_run, "flow-run-not-found", 66, "00000000-0000-4000-8000-000000000000", reported=False),
    Case(api_down, "api-unreachable", 67, r"172\.|http://", reported=False),
    Case(wrong_password, "api-unauthorized", 68, "PREFECT_API_AUTH_STRING", reported=False),
    Case(deployment_deleted, "deployment-not-found", 66, "deployment"),
    Case(no_such_repository, "repository-not-found", 71, r"nowhere\.git"),
    Case(no_such_branch, "revision-not-found", 71, "nowhere", elsewhere="tests/pull/test_clone.py"),
    Case(flow_file_missing, "flow-file-missing", 72, r"nowhere\.py"),
    Case(
        no_such_project,
        "project-missing",
        72,
        r"pyproject\.toml",
        elsewhere="tests/unit/project/test_refused_projects.py",
    ),
    Case(no_lockfile, "lockfile-missing", 73, "uv lock"),
    Case(stale_lockfile, "lockfile-stale", 73, "uv lock", elsewhere=REFUSED_SOURCES),
    Case(no_prefect, "prefect-missing", 74, "uv add prefect"),
    Case(other_python, "python-missing", 75, r"3\.11"),
    Case(pinned_python, "python-missing", 75, r"\.python-version", elsewhere="tests/environments/test_python.py"),
    Case(no_compiler, "project-build-failed", 76, "gcc is missing"),
    Case(package_removed, "package-not-found", 76, "trinket", elsewhere=REFUSED_SOURCES),
    Case(package_changed, "hash-mismatch", 76, "trinket"),
    Case(
        index_stopped,
        "index-unreachable",
        76,
        "trinket",
        elsewhere="tests/unit/environments/plan/test_uv_command.py",
    ),
    Case(full_volume, "volume-full", 77, "/cache", volume=SMALL, elsewhere="tests/environments/test_kills.py"),
)
PARAMETERS = [
    pytest.param(
        case,
        id=case.arrange.__name__.replace("_", "-"),
        marks=[pytest.mark.full] if case.elsewhere else [],
    )
    for case in CASES
]


@contextmanager
def _cache_of(case: Case, stack: Stack) -> Iterator[CacheVolume]:
    with ExitStack() as exit_stack:
        if case.volume is None:
            yield stack.cache
        else:
            yield exit_stack.enter_context(CacheVolume.create(stack.containers, stack.image, case.volume))


@pytest.mark.parametrize("case", PARAMETERS)
def test_wrong_input_is_explained(stack: Stack, index: PackageIndex, plain: Repository, case: Case) -> None:
    """Slug, text, hint and exit code are right, the run is Crashed with them, and no files are left behind."""
    attempt = case.arrange(Scene(stack, index, plain))
    with _cache_of(case, stack) as cache:
        container = stack.start_directly(attempt.flow_run, attempt.environment, cache=cache.name)
        outcome = stack.containers.wait(container, 90)
        assert outcome.exit_code == case.exit_code, outcome.output
        headline = re.search(rf"error\[{case.slug}\]: (.+)", outcome.stderr)
        assert headline is not None, outcome.output
        hint = re.search(r"^prefect-uv: hint: (.+)", outcome.stderr, re.MULTILINE)
        assert hint is not None, outcome.output
        assert re.search(case.pattern, outcome.stderr), outcome.output
        assert "Traceback" not in outcome.output
        assert cache.leftovers() == []
    if case.reported:
        _check_reported(stack, UUID(str(attempt.flow_run)), headline[1], hint[1])


def _check_reported(stack: Stack, flow_run: UUID, headline: str, hint: str) -> None:
    state = stack.api.client.read_flow_run(flow_run).state
    assert state is not None
    assert state.is_crashed(), state
    assert headline in (state.message or "")
    assert hint in (state.message or "")
    messages = "\n".join(log.message for log in stack.api.logs(flow_run))
    assert headline in messages
    assert hint in messages
