"""What the pages show of the images is done as they say it: Dockerfiles are built, containers are started."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from images import docker_engine
from images.family import read
from tests.commands import replaced, shell
from tests.pages import run_by
from tests.stack import CacheVolume, PackageIndex, Stack, git_clone
from tests.stack.environment import job_environment, job_volumes
from tests.stack.images import built, configured

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

README = "README.md"
BAKE = "docs/how-to/bake.md"
OWN_IMAGE = "docs/how-to/own-image.md"
OFFLINE = "docs/how-to/offline.md"
WARM = "docs/how-to/warm.md"
DOCKER_WORK_POOL = "docs/how-to/docker-work-pool.md"
CHOOSE_A_PROJECT = "docs/how-to/choose-a-project.md"
RUN_LOCALLY = "docs/how-to/run-locally.md"
RECORD = "docs/how-to/record-of-a-run.md"
TROUBLESHOOT = "docs/how-to/troubleshoot-a-start.md"
FROM = "FROM prefect-uv:py313\n"
SECONDS = 120
SCRIPT = "print('found', 6 * 7)"
PREFECT = f'"prefect=={read().prefect}"'
HEAD = '[project]\nname = "{name}"\nversion = "0.1.0"\nrequires-python = ">=3.11"\ndependencies = [{dependencies}]\n'
GROUPS = '[dependency-groups]\netl = ["xmltodict"]\nml = ["textdistance"]\n'
WORKSPACE = '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
SHARED = "shared = { workspace = true }\n"
FLOWS = "from prefect import flow\n\n\n@flow(log_prints=True)\ndef etl():\n    print('loaded')\n"


def project(folder: Path, name: str, more: str = "", dependencies: str = PREFECT) -> None:
    """Write a pyproject.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(HEAD.format(name=name, dependencies=dependencies) + more)


@pytest.fixture(scope="module")
def base(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our image with this machine's index and certificates."""
    with configured(stack.image, tmp_path_factory.mktemp("base")) as image:
        yield image


@pytest.fixture(scope="module")
def index(stack: Stack) -> Iterator[PackageIndex]:
    """An index with a Prefect of one module, for everything but a flow run."""
    with PackageIndex.with_prefect(stack.containers.gateway) as running:
        yield running


@pytest.fixture
def etl(tmp_path: Path, index: PackageIndex) -> Path:
    """A locked project with a flow."""
    return locked_etl(tmp_path / "etl", GROUPS + index.settings)


def locked_etl(folder: Path, more: str) -> Path:
    """Write and lock a project with a flow."""
    project(folder, "etl", more)
    (folder / "flows.py").write_text(FLOWS)
    shell("uv lock", folder)
    return folder


def baked(stack: Stack, folder: Path, dockerfile: str) -> str:
    """What `doctor` lists in the image of a Dockerfile."""
    (folder / "Dockerfile").write_text(dockerfile)
    with built(folder) as image:
        container = stack.containers.start(image, ["prefect-uv", "doctor"], {}, [])
        return stack.containers.wait(container, SECONDS).stdout


def test_image_that_the_readme_bakes(stack: Stack, base: str, etl: Path) -> None:
    """The project's environment is in it."""
    (text,) = run_by("test_image_that_the_readme_bakes", README)
    assert " for etl" in baked(stack, etl, text.replace(FROM, f"FROM {base}\n"))


def test_two_bakes_write_the_same_files(base: str, etl: Path) -> None:
    """What `bake` writes records no times, bytecode included; those of files are taken away by who publishes images."""
    (etl / "Dockerfile").write_text(f"FROM {base}\nCOPY pyproject.toml uv.lock ./\nRUN prefect-uv bake\n")
    listing = "cd /opt/baked; find . -type f -exec sha256sum {} + | sort"
    listings = []
    for _ in range(2):
        with built(etl, "--no-cache") as image:
            listings.append(shell(f"docker run --rm --entrypoint sh {image} -c '{listing}'", etl))
    assert "prefect.cpython-313.pyc" in listings[0]
    assert listings[0] == listings[1]


def test_selections_in_one_image(stack: Stack, base: str, etl: Path) -> None:
    """Two environments, one for each group."""
    (text,) = run_by("test_selections_in_one_image", BAKE)
    listed = baked(stack, etl, f"FROM {base}\nCOPY pyproject.toml uv.lock ./\n{text}")
    assert "(groups etl)" in listed
    assert "(groups ml)" in listed


def test_members_in_one_image(stack: Stack, base: str, index: PackageIndex, tmp_path: Path) -> None:
    """The pyproject.toml of each member is enough."""
    project(tmp_path, "shop", f"{WORKSPACE}{index.settings}{SHARED}", "")
    project(tmp_path / "packages/etl", "etl", "", f'{PREFECT}, "shared"')
    project(tmp_path / "packages/shared", "shared", "", "")
    shell("uv lock", tmp_path)
    (text,) = run_by("test_members_in_one_image", BAKE)
    assert "package etl" in baked(stack, tmp_path, f"FROM {base}\n{text}")


def test_code_in_an_image(stack: Stack, tmp_path: Path) -> None:
    """A run pulls nothing, and finds code and lockfile in the image."""
    etl = locked_etl(tmp_path / "etl", GROUPS)
    dockerfile, steps = run_by("test_code_in_an_image", OWN_IMAGE)
    (etl / "Dockerfile").write_text(dockerfile.replace(FROM, f"FROM {stack.image}\n"))
    with built(etl) as image:
        pull = YAML(typ="safe").load(steps)["pull"]
        run = stack.run_and_wait(stack.deploy("code-in-an-image", "flows.py:etl", pull, image=image))
    run.require_completed()
    assert "loaded" in run.messages


def start(stack: Stack, command: str, folder: Path, volume: str) -> str:
    """Run a page's `docker run` with this volume, and this machine's index, certificates and API.

    Returns:
        what it printed.

    Raises:
        AssertionError: if it fails.
    """
    variables = job_environment(stack.containers.gateway)
    if "PREFECT_API_URL=…" in command:
        variables |= stack.server.environment
    volumes = [each for each in job_volumes(volume) if not each.startswith(f"{volume}:")]
    options = [f'--env "{name}={value}"' for name, value in variables.items()]
    options += [f"--volume {each}" for each in volumes]
    docker = f"{docker_engine.client() or 'docker'} run --rm {' '.join(options)}"
    words = {
        " --env PREFECT_API_URL=…": "",
        "prefect-uv-cache:/cache": f"{volume}:/cache",
        "prefect-uv-local:/cache": f"{volume}:/cache",
        "docker run --rm": docker,
        "prefect-uv:py313": stack.image,
    }
    return shell(replaced(command, words), folder)


def test_volume_is_filled_without_running_the_flow(stack: Stack, etl: Path, cache: CacheVolume, tmp_path: Path) -> None:
    """`sync` pulls the code of a deployment and builds its environment; `exec` and the sync of a run find that.

    The run is still there to be executed.
    """
    repository = stack.git.create(tmp_path.name, etl)
    deployment = stack.api.deploy("filled", "flows.py:etl", [git_clone(repository.url)])
    (command,) = run_by("test_volume_is_filled_without_running_the_flow", OFFLINE)
    command = command.replace("etl/nightly", "filled/filled")
    assert "(miss " in start(stack, command, tmp_path, cache.name)
    executed = replaced(command, {"sync": "exec", "filled/filled": f"filled/filled -- python -c {shlex.quote(SCRIPT)}"})
    assert "found 42" in start(stack, executed, tmp_path, cache.name)
    flow_run = stack.api.create_run(deployment)
    variable = f"--env PREFECT__FLOW_RUN_ID={flow_run} --env PREFECT"
    of_run = {"--env PREFECT": variable, " --deployment filled/filled": ""}
    assert "(hit " in start(stack, replaced(command, of_run), tmp_path, cache.name)
    state = stack.api.client.read_flow_run(flow_run).state
    assert state is not None
    assert state.is_scheduled(), "Scheduled, or Late when the machine is slow"


def test_pool_is_warm_before_its_first_run(stack: Stack, cache: CacheVolume, tmp_path: Path) -> None:
    """`warm` builds what each deployment selects, once; their first runs find it, and need not compile Prefect."""
    folder = locked_etl(tmp_path / "etl", GROUPS)
    repository = stack.git.create(f"warm-{tmp_path.name}", folder)
    steps, tags = [git_clone(repository.url)], ["nightly"]
    volumes = job_volumes(cache.name)
    deployments = [
        stack.api.deploy(
            name,
            "flows.py:etl",
            steps,
            pool="docker",
            tags=tags,
            job_variables={"image": stack.image, "volumes": volumes, "env": variables},
        )
        for name, variables in (
            ("warm-one", {}),
            ("warm-two", {}),
            ("warm-three", {"PREFECT_UV_GROUPS": "etl"}),
        )
    ]
    (command,) = run_by("test_pool_is_warm_before_its_first_run", WARM)
    printed = start(stack, command, tmp_path, cache.name)
    assert "3 deployment(s) with 2 environment(s): 2 built, 1 there, 0 failed" in printed
    compiled = "find /cache/envs -name '*.pyc' -path '*/prefect/*' | wc -l"
    before = cache.run("sh", "-c", compiled)
    for deployment in deployments:
        run = stack.run_and_wait(deployment)
        run.require_completed()
        assert "(hit " in run.messages, run.report()
    assert cache.run("sh", "-c", compiled) == before


def test_volume_is_listed_and_emptied(stack: Stack, cache: CacheVolume, tmp_path: Path) -> None:
    """The commands work on a volume that no run has used yet, the first one in a hardened container."""
    hardened, commands = run_by("test_volume_is_listed_and_emptied", DOCKER_WORK_POOL)
    assert "/cache has no environments yet" in start(stack, hardened, tmp_path, cache.name)
    start(stack, commands, tmp_path, cache.name)


def test_command_runs_in_the_environment_of_a_checkout(stack: Stack, etl: Path, cache: CacheVolume) -> None:
    """The flow's module can be imported, and with it Prefect."""
    (command,) = run_by("test_command_runs_in_the_environment_of_a_checkout", RUN_LOCALLY)
    assert "look: virtual project etl, uv.lock next to it" in start(stack, command, etl, cache.name)


def test_project_is_tried_in_a_checkout(stack: Stack, etl: Path, cache: CacheVolume, tmp_path: Path) -> None:
    """The log says which project would be used."""
    etl.rename(tmp_path / "reports")
    (command,) = run_by("test_project_is_tried_in_a_checkout", CHOOSE_A_PROJECT)
    assert "look: virtual project etl in reports, uv.lock next to it" in start(stack, command, tmp_path, cache.name)


def test_doctor_foretells_the_start_of_a_checkout(stack: Stack, etl: Path, cache: CacheVolume) -> None:
    """A start would build the project's environment, and its indexes answer."""
    (command,) = run_by("test_doctor_foretells_the_start_of_a_checkout", RECORD)
    lines = start(stack, command, etl, cache.name).splitlines()
    assert "environment     miss" in lines
    assert "result          a start would build the environment" in lines


def test_doctor_of_the_page(stack: Stack, cache: CacheVolume, tmp_path: Path) -> None:
    """The API answers."""
    (command,) = run_by("test_doctor_of_the_page", TROUBLESHOOT)
    assert f"{stack.server.url} is Prefect" in start(stack, command, tmp_path, cache.name)
