"""What the workspace example promises: one lockfile, an environment per selection, and no needless builds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from tests.examples.examples import BY_NAME, environment_key, lookup_result
from tests.stack import CacheVolume, Repository, Run, Stack
from tests.stack.environment import job_volumes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

ETL, ML = "xmltodict", "textdistance"


@dataclass(frozen=True)
class Deployed:
    """The example on a volume of its own, locked to an old version of a package, and each deployment's first run."""

    stack: Stack
    volume: CacheVolume
    repository: Repository
    deployments: list[UUID]
    etl: Run
    ml: Run

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file of the working copy."""
        file = self.repository.work / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def run_again(self, message: str) -> list[Run]:
        """Commit, push and run both deployments."""
        self.repository.commit(message)
        return run_all(self.stack, self.deployments, self.volume)


def run_all(stack: Stack, deployments: list[UUID], volume: CacheVolume) -> list[Run]:
    """Run the deployments together on this volume; all must complete."""
    volumes = job_volumes(volume.name)
    started = [stack.api.create_run(deployment, volumes=volumes) for deployment in deployments]
    runs = [stack.follow(flow_run) for flow_run in started]
    for run in runs:
        run.require_completed()
    return runs


@pytest.fixture(scope="module")
def volume(stack: Stack) -> Iterator[CacheVolume]:
    """A volume that nothing else uses."""
    with CacheVolume.create(stack.containers, stack.image) as created:
        yield created


@pytest.fixture(scope="module")
def deployed(stack: Stack, volume: CacheVolume) -> Deployed:
    """The example, deployed and run once."""
    example = BY_NAME["workspace"]
    repository = example.publish(stack, "edited")
    repository.lock("--upgrade-package", f"{ETL}==0.14.0")
    repository.commit("Start with an old version")
    deployments = stack.prefect_deploy(repository.work, example.deployments)
    etl, ml = (run_all(stack, [deployment], volume)[0] for deployment in deployments)  # together, both download
    return Deployed(stack, volume, repository, deployments, etl, ml)


def test_two_deployments_share_a_cache_and_nothing_else(deployed: Deployed) -> None:
    """Two groups are two environments, hard-linked to one uv cache, and neither has the other's packages."""
    volume, etl, ml = deployed.volume, deployed.etl, deployed.ml
    assert [_can_import(volume, etl, module) for module in ("prefect", ETL, ML)] == [True, True, False]
    assert [_can_import(volume, ml, module) for module in ("prefect", ETL, ML)] == [True, False, True]
    environments = [f"/cache/envs/v1/{environment_key(run)}*/lib/*/site-packages" for run in (etl, ml)]
    names = " ".join(f"{directory}/prefect/__init__.py" for directory in ("/cache/uv-*/archive-v0/*", *environments))
    inodes = volume.run("sh", "-c", f"stat -c %i {names}").split()
    assert len(inodes) == 3
    assert len(set(inodes)) == 1


def _can_import(volume: CacheVolume, run: Run, module: str) -> bool:
    """Whether the Python of the run's environment can import a module."""
    script = f'for python in /cache/envs/v1/{environment_key(run)}*/bin/python; do "$python" -c "$0"; done'
    code = f"import importlib.util; print(importlib.util.find_spec({module!r}) is not None)"
    return volume.run("sh", "-c", script, code).split() == ["True"]


def test_edit_of_what_is_not_selected_builds_nothing(deployed: Deployed) -> None:
    """Edits of code, README, tool settings and a group that no run selects leave the environments as they are."""
    deployed.edit("src/orders/etl.py", "found", "has found")
    deployed.edit("README.md", "# workspace", "# Our workspace")
    deployed.edit("pyproject.toml", "line-length = 100", "line-length = 88")
    deployed.edit("pyproject.toml", '"pytest>=8", ', "")
    deployed.repository.lock()
    etl, ml = deployed.run_again("Edit what no run needs")
    assert [(lookup_result(run), environment_key(run)) for run in (etl, ml)] == [
        ("hit", environment_key(deployed.etl)),
        ("hit", environment_key(deployed.ml)),
    ]
    assert "has found Ada Lovelace, Grace Hopper" in etl.messages


def test_edit_of_a_selected_dependency_builds_and_says_why(deployed: Deployed) -> None:
    """Another version of a package in one group gives this group a new environment, and the log says why."""
    deployed.repository.lock("--upgrade-package", f"{ETL}==0.14.2")
    etl, ml = deployed.run_again("Upgrade a package of one group")
    assert lookup_result(etl) == "miss", etl.report()
    keys = (environment_key(etl), environment_key(deployed.etl))
    explanation = "environment {} is new; changes from {}: ".format(*keys) + f"{ETL} 0.14.0 -> 0.14.2"
    assert explanation in etl.messages, etl.report()
    assert (lookup_result(ml), environment_key(ml)) == ("hit", environment_key(deployed.ml))
