"""The examples whose images are built: dependencies baked, or everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID

import docker
import pytest

from tests.examples.examples import Example, found
from tests.stack import ClosedNetwork, Repository, Run, Stack
from tests.stack.environment import unreachable_network
from tests.stack.images import BuildError, built, configured

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

BAKED = Example("baked", ("report/baked",))
SEALED = Example("sealed", ("report/sealed",))
OFFLINE = {"PREFECT_UV_OFFLINE": "true"}
VERSION = "--build-arg=VERSION=1.0.0"


@dataclass(frozen=True)
class Built:
    """An example on the stack, with its image."""

    stack: Stack
    repository: Repository
    base: str
    image: str
    deployments: list[UUID]

    @classmethod
    def of(cls, pieces: ExitStack, stack: Stack, example: Example, base: str, *options: str) -> Built:
        """Publish the example, build its Dockerfile, and deploy it with that image."""
        repository = example.publish(stack)
        image = pieces.enter_context(built(repository.work, f"--build-arg=BASE={base}", *options))
        path = repository.work / "prefect.yaml"
        lines = [
            f"        image: {image}" if line.strip().startswith("image:") else line
            for line in path.read_text().splitlines()
        ]
        path.write_text("\n".join(lines))
        return cls(stack, repository, base, image, stack.prefect_deploy(repository.work, example.deployments))

    def built_again(self, *options: str) -> list[str]:
        """The layers of the image after an edit."""
        with built(self.repository.work, f"--build-arg=BASE={self.base}", *options) as image:
            return layers(image)

    def run(self, environment: dict[str, str]) -> Run:
        """Run it through the worker, with job variables."""
        return self.stack.run_and_wait(self.deployments[0], environment=environment)


@pytest.fixture(scope="module")
def base(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our image with this machine's index and certificates."""
    with configured(stack.image, tmp_path_factory.mktemp("base")) as image:
        yield image


@pytest.fixture(scope="module")
def baked(stack: Stack, base: str) -> Iterator[Built]:
    """The example with its dependencies in the image."""
    with ExitStack() as pieces:
        yield Built.of(pieces, stack, BAKED, base)


@pytest.fixture(scope="module")
def sealed(stack: Stack, base: str) -> Iterator[Built]:
    """The example with everything in the image."""
    with ExitStack() as pieces:
        yield Built.of(pieces, stack, SEALED, base, VERSION)


def layers(image: str) -> list[str]:
    """An image's layers, by their contents."""
    client = docker.from_env()
    try:
        return list(client.images.get(image).attrs["RootFS"]["Layers"])
    finally:
        client.close()


def assert_promised(example: Example, runs: Sequence[Run]) -> None:
    """The logs have the lines that the example's README shows."""
    log = "\n".join(run.messages for run in runs)
    assert [line.pattern for line in example.promised if not line.search(log)] == [], log


def test_baked_cold_warm_and_offline(baked: Built) -> None:
    """The first run finds what was baked, with the selection that was baked; code comes from git, or its mirror."""
    unreachable = {**unreachable_network(baked.stack.containers.gateway), **OFFLINE}
    runs = [baked.run({}), baked.run({}), baked.run(unreachable)]
    assert [(run.state.name, found(run)) for run in runs] == [("Completed", "hit")] * 3, runs[-1].report()
    assert_promised(BAKED, runs)


def test_extra_package_upon_the_baked_environment(baked: Built) -> None:
    """A deployment's own package: the environment in the image is copied to the volume and added to."""
    run = baked.run({"PREFECT_UV_EXTRA_PACKAGES": "tabulate==0.9.0"})
    assert (run.state.name, found(run)) == ("Completed", "miss"), run.report()
    assert "12,345 orders, counted by /cache/envs/v1" in run.messages, run.report()
    assert "does not fit: + tabulate 0.9.0; environment " in run.messages, run.report()


def test_baked_layer_survives_an_edit_of_code(baked: Built) -> None:
    """The same image, bit by bit."""
    flows = baked.repository.work / "flows.py"
    flows.write_text(flows.read_text().replace("orders,", "new orders,"))
    assert baked.built_again() == layers(baked.image)


def test_baked_image_meets_another_lock(baked: Built) -> None:
    """A newer lock: built on the volume with a line that says why, or refused."""
    path = baked.repository.work / "pyproject.toml"
    path.write_text(path.read_text().replace("humanize>=4", "humanize<4.10"))
    baked.repository.lock()
    baked.repository.commit("Another version")
    run = baked.run({})
    assert found(run) == "miss", run.report()
    assert "does not fit: humanize " in run.messages
    refused = baked.stack.follow(
        baked.stack.api.create_run(baked.deployments[0], environment={"PREFECT_UV_BAKED": "refuse"})
    )
    assert refused.outcome.exit_code == 76, refused.report()
    assert "error[baked-mismatch]: No environment baked into the image fits baked." in refused.messages


def test_sealed_needs_nothing_but_the_api(sealed: Built, closed: ClosedNetwork) -> None:
    """Cold, warm and with PREFECT_UV_OFFLINE, on a network with the API alone, without a volume."""
    runs = []
    for more in ({}, {}, OFFLINE):
        environment, deployment = {**closed.environment, **more}, sealed.deployments[0]
        flow_run = sealed.stack.api.create_run(deployment, {}, environment, network_mode=closed.mode, volumes=[])
        runs.append(sealed.stack.follow(flow_run))
        runs[-1].require_quiet()
    assert [(run.state.name, found(run)) for run in runs] == [("Completed", "hit")] * 3, runs[-1].report()
    assert_promised(SEALED, runs)


def test_sealed_as_any_user_on_a_read_only_root(sealed: Built, closed: ClosedNetwork) -> None:
    """Nothing is written but to temporary file systems; neither uv nor git is there."""
    stack = sealed.stack
    flow_run = stack.api.create_run(sealed.deployments[0])
    stack.api.submit(flow_run)
    environment = {**closed.environment, "PREFECT__FLOW_RUN_ID": str(flow_run)}
    options = {"user": "54321:0", "read_only": True, "tmpfs": {"/tmp": "", "/home/prefect": "mode=1777"}}
    command = ["prefect", "flow-run", "execute"]
    nothing = [f"/dev/null:{program}:ro" for program in ("/usr/local/bin/uv", "/usr/bin/git")]
    container = stack.containers.start(sealed.image, command, environment, nothing, network_mode=closed.mode, **options)
    run = stack.finish(flow_run, container)
    run.require_quiet()
    assert (run.state.name, found(run)) == ("Completed", "hit"), run.report()


def test_network_of_the_sealed_runs_has_no_way_out(sealed: Built, closed: ClosedNetwork) -> None:
    """Neither an index nor the git server can be reached: what runs there has everything."""
    stack = sealed.stack
    for question in (
        ["uv", "pip", "install", "--dry-run", "--python", "/opt/prefect-client/bin/python", "cowsay"],
        ["git", "ls-remote", sealed.repository.url],
    ):
        environment = {"UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "5"}
        outcome = stack.containers.wait(
            stack.containers.start(sealed.image, question, environment, [], network_mode=closed.mode), 60
        )
        assert outcome.exit_code not in {0, 127}, outcome.output


def test_sealed_code_is_a_layer_of_its_own(sealed: Built) -> None:
    """An edit of code leaves the layer of the dependencies; the image has its version."""
    before = layers(sealed.image)
    orders = sealed.repository.work / "src" / "sealed" / "orders.py"
    orders.write_text(orders.read_text().replace("12_345", "12_346"))
    after = sealed.built_again(VERSION)
    assert [old == new for old, new in zip(before, after, strict=True)][-3:] == [True, False, False]
    labels = sealed.stack.containers.client.images.get(sealed.image).labels
    assert labels["org.opencontainers.image.version"] == "1.0.0"


def test_sealed_without_a_version_is_not_built(sealed: Built) -> None:
    """The mistake is told by the build."""
    with pytest.raises(BuildError) as raised:
        sealed.built_again()
    assert "error[usage]: `prefect-uv bake`: the version is empty." in str(raised.value)
    assert "hint: Name one, as `docker build --build-arg VERSION=1.2.3 .`, or leave the option out." in str(
        raised.value
    )
