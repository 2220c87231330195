"""The examples, and how to publish and deploy them on the stack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from tests.stack import Repository, Run, Stack

FOLDER = Path(__file__).parents[2] / "examples"
LOG = re.compile(r"^```log\n(.*?)^```$", re.DOTALL | re.MULTILINE)
VARYING = re.compile(r"[0-9a-f]{12}|[0-9]+")
SUMMARY = re.compile(r"ready in .* sync \d+ \((?P<lookup>hit|miss) (?P<key>[0-9a-f]{12})\)")


@dataclass(frozen=True)
class Example:
    """A folder of examples/.

    Attributes:
        name: the name of the folder.
        deployments: the full names of the deployments in its prefect.yaml.
        lock: where a user runs `uv lock`, relative to the folder; None if the example has no lockfile.
        variables: the Prefect Variables that its README sets, by name.
    """

    name: str
    deployments: tuple[str, ...]
    lock: str | None = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def promised(self) -> list[re.Pattern[str]]:
        """Patterns for the log lines in the README; numbers and keys may differ."""
        lines = "".join(LOG.findall((FOLDER / self.name / "README.md").read_text())).splitlines()
        return [re.compile(_VARIED.join(map(re.escape, VARYING.split(line)))) for line in lines]

    def publish(self, stack: Stack, name: str = "") -> Repository:
        """Serve the folder as a git repository, locked as its README says and with the stack's addresses."""
        url = f"http://{stack.git.address}/{name or self.name}.git"
        replace = {f"https://git.example.com/me/{self.name}.git": url, "prefect-uv:py313": stack.image}
        repository = stack.git.create(name or self.name, FOLDER / self.name, lock=False, replace=replace)
        if self.lock is not None:
            repository.lock(project=self.lock)
            repository.commit("Add uv.lock")
        return repository

    def deploy(self, stack: Stack, name: str = "") -> list[UUID]:
        """Publish the example, and deploy its prefect.yaml with `prefect deploy`."""
        for variable, value in self.variables.items():
            stack.api.set_variable(variable, value)
        return stack.prefect_deploy(self.publish(stack, name).work, self.deployments)


_VARIED = "[0-9a-f]+"
EXAMPLES = (
    Example("hello", ("hello/hello",)),
    Example("workspace", ("etl/etl", "ml/ml")),
    Example("packages", ("report/report",), lock="reports"),
    Example("script", ("phase/moon",), lock=None),
    Example("requirements", ("prices/prices",), lock=None),
    Example(
        "extras",
        ("tell/file", "tell/job-variable", "tell/prefect-variable"),
        variables={"stemming_packages": "snowballstemmer==3.1.1"},
    ),
)
BY_NAME: Mapping[str, Example] = {example.name: example for example in EXAMPLES}


def lookup_result(run: Run) -> str:
    """Whether the run found its environment or built it: `hit` or `miss`."""
    return _summary(run)["lookup"]


def environment_key(run: Run) -> str:
    """The first twelve digits of the key of the run's environment."""
    return _summary(run)["key"]


def _summary(run: Run) -> re.Match[str]:
    summary = SUMMARY.search(run.messages)
    if summary is None:
        raise AssertionError(run.report())
    return summary
