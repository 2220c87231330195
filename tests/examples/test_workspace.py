"""What the workspace promises: one lock, an environment for each selection, and nothing built without need."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest

from tests.examples.examples import BY_NAME, found, key
from tests.stack import CacheVolume, Repository, Run, Stack
from tests.stack.environment import job_volumes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

ETL, ML = "xmltodict", "textdistance"


@dataclass(frozen=True)
class Deployed:
    """The example on the stack with an old version of a package, and the first run of each deployment."""

    stack: Stack
    repository: Repository
    deployments: list[UUID]
    etl: Run
    ml: Run

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file of the working copy."""
        file = self.repository.work / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def run_again(self, message: str) -> list[Run]:
        """Commit, push and run both."""
        self.repository.commit(message)
        return run_all(self.stack, self.deployments)


def run_all(stack: Stack, deployments: list[UUID]) -> list[Run]:
    """Run them at once; all must complete."""
    runs = stack.run_together(deployments)
    for run in runs:
        run.require_completed()
    return runs


@pytest.fixture(scope="module")
def deployed(stack: Stack) -> Deployed:
    """The workspace, deployed and run."""
    example = BY_NAME["workspace"]
    repository = example.publish(stack, "edited")
    repository.lock("--upgrade-package", f"{ETL}==0.14.0")
    repository.commit("Start with an old version")
    deployments = stack.prefect_deploy(repository.work, example.deployments)
    etl, ml = run_all(stack, deployments)
    return Deployed(stack, repository, deployments, etl, ml)


def test_two_deployments_share_a_cache_and_nothing_else(deployed: Deployed) -> None:
    """Two groups are two environments of hard links to one uv cache, and neither has the other's packages."""
    stack = deployed.stack
    with CacheVolume.create(stack.containers, stack.image) as volume:
        volumes = job_volumes(volume.name)
        etl, ml = (stack.follow(stack.api.create_run(one, volumes=volumes)) for one in deployed.deployments)
        for run in (etl, ml):
            run.require_completed()
        assert [_sees(volume, etl, module) for module in ("prefect", ETL, ML)] == [True, True, False]
        assert [_sees(volume, ml, module) for module in ("prefect", ETL, ML)] == [True, False, True]
        places = ("/cache/uv-*/archive-v0/*", "/cache/envs/v1/*/lib/*/site-packages")
        names = " ".join(f"{place}/prefect/__init__.py" for place in places)
        files = volume.run("sh", "-c", f"stat -c %i {names}").split()
    assert len(files) == 3
    assert len(set(files)) == 1


def _sees(volume: CacheVolume, run: Run, module: str) -> bool:
    """Whether the Python of a run's environment can import this module."""
    script = f'for python in /cache/envs/v1/{key(run)}*/bin/python; do "$python" -c "$0"; done'
    code = f"import importlib.util; print(importlib.util.find_spec({module!r}) is not None)"
    return volume.run("sh", "-c", script, code).split() == ["True"]


def test_edit_of_what_is_not_selected_builds_nothing(deployed: Deployed) -> None:
    """Code, README, tool settings and a group that no run selects: the same environments are found."""
    deployed.edit("src/orders/etl.py", "found", "has found")
    deployed.edit("README.md", "# workspace", "# Our workspace")
    deployed.edit("pyproject.toml", "line-length = 100", "line-length = 88")
    deployed.edit("pyproject.toml", '"pytest>=8", ', "")
    deployed.repository.lock()
    etl, ml = deployed.run_again("Edit what no run needs")
    assert [(found(run), key(run)) for run in (etl, ml)] == [("hit", key(deployed.etl)), ("hit", key(deployed.ml))]
    assert "has found Ada Lovelace, Grace Hopper" in etl.messages


def test_edit_of_a_selected_dependency_builds_and_says_why(deployed: Deployed) -> None:
    """Another version of a package of one group: this group's environment is new, the other one is found."""
    deployed.repository.lock("--upgrade-package", f"{ETL}==0.14.2")
    etl, ml = deployed.run_again("Upgrade a package of one group")
    assert found(etl) == "miss", etl.report()
    explanation = f"environment {key(etl)} is new; changes from {key(deployed.etl)}: {ETL} 0.14.0 -> 0.14.2"
    assert explanation in etl.messages, etl.report()
    assert (found(ml), key(ml)) == ("hit", key(deployed.ml))
