"""The examples, and how to publish and deploy them on the stack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tests.commands import replaced, shell
from tests.pages import run_by
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
    """

    name: str
    deployments: tuple[str, ...]
    lock: str | None = ""

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

    def deploy(self, stack: Stack, test: str, words: Mapping[str, str] | None = None) -> tuple[Repository, list[UUID]]:
        """Run the commands that the README gives this test in a clone with the example, with some words replaced."""
        bare, work = stack.git.root / f"{self.name}.git", stack.git.root / "work" / self.name
        shell(
            f"git init --quiet --bare --initial-branch main {bare} && git clone --quiet {bare} {work}", stack.git.root
        )
        repository = Repository(f"http://{stack.git.address}/{self.name}.git", work)
        own = {f"https://git.example.com/me/{self.name}.git": repository.url, "prefect-uv:py313": stack.image}
        repository.copy(FOLDER / self.name, own | dict(words or {}))
        (commands,) = run_by(test, f"examples/{self.name}/README.md")
        shell(replaced(commands, words or {}), work, stack.server.environment)
        return repository, [stack.api.client.read_deployment_by_name(name).id for name in self.deployments]


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
