"""The examples with an image of their own: with the dependencies baked, or everything."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID, uuid4

import docker
import pytest

from images import docker_engine
from images.secrets import proxy_options
from tests.examples.examples import Example, lookup_result
from tests.stack import ClosedNetwork, Repository, Run, Stack
from tests.stack.environment import unreachable_network
from tests.stack.images import BuildError, built, configured

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

BAKED = Example("baked", ("report/baked",))
SEALED = Example("sealed", ("report/sealed",))
OFFLINE = {"PREFECT_UV_OFFLINE": "true"}
VERSION = "--build-arg=VERSION=1.0.0"


@dataclass(frozen=True)
class BuiltExample:
    """An example on the stack, with its image.

    Attributes:
        stack: the stack.
        repository: the example's repository.
        base: the image that the Dockerfile starts FROM.
        image: the image that the Dockerfile makes.
        deployments: the ids of the deployments.
    """

    stack: Stack
    repository: Repository
    base: str
    image: str
    deployments: list[UUID]

    @classmethod
    def of(cls, resources: ExitStack, stack: Stack, example: Example, base: str, test: str) -> BuiltExample:
        """Do what the README gives this test to do: build the image, publish and deploy the example."""
        image = f"prefect-uv-test-{uuid4().hex}"
        resources.callback(stack.containers.client.images.remove, image, force=True)
        options = ["build", "--network=host", f"--build-arg=BASE={base}", *proxy_options(os.environ)]
        build = shlex.join([docker_engine.client() or "docker", *options])
        words = {"docker build": build, "me/baked:latest": image, "me/sealed:1.0.0": image}
        repository, deployments = example.deploy(stack, test, words)
        return cls(stack, repository, base, image, deployments)

    def rebuilt_layers(self, *options: str) -> list[str]:
        """Build the image again, as after an edit, and return its layers."""
        with built(self.repository.work, f"--build-arg=BASE={self.base}", *options) as image:
            return layers(image)

    def run(self, environment: dict[str, str]) -> Run:
        """Run the deployment through the worker, with these environment variables."""
        return self.stack.run_and_wait(self.deployments[0], environment=environment)


@pytest.fixture(scope="module")
def base(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our image, configured with this machine's index and certificates."""
    with configured(stack.image, tmp_path_factory.mktemp("base")) as image:
        yield image


@pytest.fixture(scope="module")
def baked(stack: Stack, base: str) -> Iterator[BuiltExample]:
    """The example whose image has its dependencies."""
    with ExitStack() as resources:
        yield BuiltExample.of(resources, stack, BAKED, base, "test_baked_online_and_offline")


@pytest.fixture(scope="module")
def sealed(stack: Stack, base: str) -> Iterator[BuiltExample]:
    """The example whose image has everything."""
    with ExitStack() as resources:
        yield BuiltExample.of(resources, stack, SEALED, base, "test_sealed_needs_nothing_but_the_api")


def layers(image: str) -> list[str]:
    """The digests of an image's layers."""
    client = docker.from_env()
    try:
        return list(client.images.get(image).attrs["RootFS"]["Layers"])
    finally:
        client.close()


def assert_promised(example: Example, runs: Sequence[Run]) -> None:
    """Check that the logs have the lines that the example's README shows."""
    log = "\n".join(run.messages for run in runs)
    assert [line.pattern for line in example.promised if not line.search(log)] == [], log


def test_baked_online_and_offline(baked: BuiltExample) -> None:
    """Every run finds what was baked, with its selection; the code comes from git, and offline from the mirror."""
    unreachable = {**unreachable_network(baked.stack.containers.gateway), **OFFLINE}
    runs = [baked.run({}), baked.run(unreachable)]
    assert [(run.state.name, lookup_result(run)) for run in runs] == [("Completed", "hit")] * 2, runs[-1].report()
    assert_promised(BAKED, runs)


def test_extra_package_on_the_baked_environment(baked: BuiltExample) -> None:
    """A deployment's extra package is added to a copy of the baked environment on the volume."""
    run = baked.run({"PREFECT_UV_EXTRA_PACKAGES": "tabulate==0.9.0"})
    assert (run.state.name, lookup_result(run)) == ("Completed", "miss"), run.report()
    assert "12,345 orders, counted by /cache/envs/v1" in run.messages, run.report()
    assert "does not fit: + tabulate 0.9.0; building environment " in run.messages, run.report()


def test_baked_layer_survives_an_edit_of_code(baked: BuiltExample) -> None:
    """An edit of code leaves every layer of the image identical."""
    flows = baked.repository.work / "flows.py"
    flows.write_text(flows.read_text().replace("orders,", "new orders,"))
    assert baked.rebuilt_layers() == layers(baked.image)


def test_baked_image_meets_another_lock(baked: BuiltExample) -> None:
    """With another lockfile, an environment is built on the volume and the log says why, or the run is refused."""
    path = baked.repository.work / "pyproject.toml"
    path.write_text(path.read_text().replace("humanize>=4", "humanize<4.10"))
    baked.repository.lock()
    baked.repository.commit("Another version")
    run = baked.run({})
    assert lookup_result(run) == "miss", run.report()
    assert "does not fit: humanize " in run.messages
    refused = baked.stack.follow(
        baked.stack.api.create_run(baked.deployments[0], environment={"PREFECT_UV_BAKED": "refuse"})
    )
    assert refused.outcome.exit_code == 76, refused.report()
    assert "error[baked-mismatch]: No environment baked into the image fits baked." in refused.messages


def test_sealed_needs_nothing_but_the_api(sealed: BuiltExample, closed: ClosedNetwork) -> None:
    """Runs complete, with PREFECT_UV_OFFLINE too, on a network with only the API and without a volume."""
    runs = []
    for variables in ({}, OFFLINE):
        environment, deployment = {**closed.environment, **variables}, sealed.deployments[0]
        flow_run = sealed.stack.api.create_run(deployment, {}, environment, network_mode=closed.mode, volumes=[])
        runs.append(sealed.stack.follow(flow_run))
        runs[-1].require_quiet()
    assert [(run.state.name, lookup_result(run)) for run in runs] == [("Completed", "hit")] * 2, runs[-1].report()
    assert_promised(SEALED, runs)


def test_sealed_as_any_user_on_a_read_only_root(sealed: BuiltExample, closed: ClosedNetwork) -> None:
    """A run writes only to temporary file systems, and needs neither uv nor git."""
    stack = sealed.stack
    flow_run = stack.api.create_run(sealed.deployments[0])
    stack.api.submit(flow_run)
    environment = {**closed.environment, "PREFECT__FLOW_RUN_ID": str(flow_run)}
    options = {"user": "54321:0", "read_only": True, "tmpfs": {"/tmp": "", "/home/prefect": "mode=1777"}}
    command = ["prefect", "flow-run", "execute"]
    without_programs = [f"/dev/null:{program}:ro" for program in ("/usr/local/bin/uv", "/usr/bin/git")]
    container = stack.containers.start(
        sealed.image, command, environment, without_programs, network_mode=closed.mode, **options
    )
    run = stack.finish(flow_run, container)
    run.require_quiet()
    assert (run.state.name, lookup_result(run)) == ("Completed", "hit"), run.report()


def test_network_of_the_sealed_runs_is_closed(sealed: BuiltExample, closed: ClosedNetwork) -> None:
    """Neither an index nor the git server can be reached from the network of the sealed runs."""
    stack = sealed.stack
    for command in (
        ["uv", "pip", "install", "--dry-run", "--python", "/opt/prefect-client/bin/python", "cowsay"],
        ["git", "ls-remote", sealed.repository.url],
    ):
        environment = {"UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "5"}
        outcome = stack.containers.wait(
            stack.containers.start(sealed.image, command, environment, [], network_mode=closed.mode), 60
        )
        assert outcome.exit_code not in {0, 127}, outcome.output


def test_sealed_code_is_a_layer_of_its_own(sealed: BuiltExample) -> None:
    """An edit of code does not change the layer of the dependencies; the image has a version label."""
    before = layers(sealed.image)
    orders = sealed.repository.work / "src" / "sealed" / "orders.py"
    orders.write_text(orders.read_text().replace("12_345", "12_346"))
    after = sealed.rebuilt_layers(VERSION)
    assert [old == new for old, new in zip(before, after, strict=True)][-3:] == [True, False, False]
    labels = sealed.stack.containers.client.images.get(sealed.image).labels
    assert labels["org.opencontainers.image.version"] == "1.0.0"


def test_sealed_without_a_version_is_not_built(sealed: BuiltExample) -> None:
    """The build stops with the error and its hint."""
    with pytest.raises(BuildError) as raised:
        sealed.rebuilt_layers()
    assert "error[usage]: `prefect-uv bake`: the version is empty." in str(raised.value)
    assert "hint: Pass one, as in `docker build --build-arg VERSION=1.2.3 .`, or leave the option out." in str(
        raised.value
    )
