"""An init container pulls the code, and the main container of its pod uses it: pull steps are performed once."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.api.client import ApiClient
from prefect_uv.api.flow_run import FlowRun
from prefect_uv.git_access.clone import Clone
from prefect_uv.git_access.git_credentials import Login
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull import Checkout, pull
from prefect_uv.pull.handover import Handover
from prefect_uv.settings import Settings
from tests.unit.conftest import MakeSettings, Origin
from tests.unit.http_server import Answer, Server

RUN = "0c7a4b5e-1111-4222-8333-444455556666"
STRANGER = 4242
SHELL = "prefect.deployments.steps.run_shell_script"
CLONE = "prefect.deployments.steps.git_clone"


@dataclass
class Pod:
    """The containers of a pod, with a flow run of a deployment whose steps leave a mark each time."""

    shared: Path
    settings: Settings
    log: RunLog
    server: Server
    steps: list[dict[str, Any]]
    marks: Path
    attempts: int = 0

    @property
    def handover(self) -> Handover:
        """What a container that starts now makes of the shared directory."""
        document = {"id": RUN, "name": "brave-fox", "deployment_id": None, "run_count": self.attempts}
        self.server.on(f"GET /api/flow_runs/{RUN}", Answer(body=document))
        flow_run = FlowRun(ApiClient(self.settings), RUN)
        return Handover.of(flow_run, {"pull_steps": self.steps}, self.settings, self.log)

    def init(self, change: Callable[[Checkout], Checkout] = lambda checkout: checkout) -> Checkout:
        """What the init container pulls and hands over."""
        handover = self.handover
        pulled = pull({"pull_steps": self.steps}, self.settings, self.log, None, handover.make_base())
        return handover.give(change(pulled))

    @property
    def times(self) -> int:
        """How often the steps were performed."""
        return len(self.marks.read_text())


@pytest.fixture
def pod(  # noqa: PLR0913, PLR0917 (everything that a pod has)
    make_settings: MakeSettings,
    server: Server,
    log: RunLog,
    origin: Origin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Pod:
    """A pod whose working directory is not writable to the containers, as an image's may be."""
    for name in ("handover", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    marks = tmp_path / "marks"
    shell = {SHELL: {"script": "sh -c 'printf x >> $MARKS'", "expand_env_vars": True, "env": {"MARKS": str(marks)}}}
    steps: list[dict[str, Any]] = [shell, {CLONE: {"repository": origin.url, "clone_directory_name": "etl"}}]
    settings = make_settings(PREFECT_UV_HANDOVER_DIR=str(tmp_path / "handover"), KEPT="1", DROPPED="1")
    return Pod(tmp_path / "handover", settings, log, server, steps, marks)


def test_main_container_gets_what_the_init_container_pulled(pod: Pod) -> None:
    """Directory, clones and what the steps changed are the same, and the steps are not performed again."""
    given = pod.init()
    taken = pod.handover.take()
    assert taken is not None
    assert pod.times == 1
    assert (taken.directory, taken.clones, taken.pulled) == (given.directory, given.clones, True)
    assert (taken.directory / "flow.py").is_file()
    assert taken.directory == pod.shared / "code" / "etl"
    assert taken.environ == given.environ


def test_what_steps_have_changed_is_handed_over(pod: Pod) -> None:
    """Variables that steps set or removed, requirements and packages; the main container keeps its own variables."""

    def change(checkout: Checkout) -> Checkout:
        environ = {**checkout.environ, "MADE": "by a step"}
        del environ["DROPPED"]
        file = checkout.directory / "requirements.txt"
        return replace(checkout, environ=environ, requirements=(file,), packages=("trinket==1.0",))

    given = pod.init(change)
    pod.settings = replace(pod.settings, flow_environ={**pod.settings.flow_environ, "OWN": "1"})
    taken = pod.handover.take()
    assert taken is not None
    assert taken.environ == {**given.environ, "OWN": "1"}
    assert (taken.requirements, taken.packages) == (given.requirements, given.packages)


def test_credentials_are_not_handed_over(pod: Pod) -> None:
    """The record has no login of a clone, and only its owner may read it."""
    login = Login("ada", "hush-hush")
    clone = Clone(pod.shared / "code" / "etl", "https://git.example/etl", login)
    pod.init(lambda checkout: replace(checkout, clones=(clone,)))
    record = pod.shared / "checkout.json"
    assert "hush" not in record.read_text()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    taken = pod.handover.take()
    assert taken is not None
    assert taken.clones == (replace(clone, login=None),)


def _another_attempt(pod: Pod) -> None:
    pod.attempts = 1


def _other_steps(pod: Pod) -> None:
    pod.steps = pod.steps[1:]


def _damaged(pod: Pod) -> None:
    record = pod.shared / "checkout.json"
    record.write_text(record.read_text()[:-5])


def _of_another_form(pod: Pod) -> None:
    record = pod.shared / "checkout.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "environ": ["x"]}))


def _code_is_gone(pod: Pod) -> None:
    (pod.shared / "code").rename(pod.shared / "elsewhere")


def _points_outside(pod: Pod) -> None:
    record = pod.shared / "checkout.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "directory": str(pod.marks.parent)}))


def _code_is_a_link(pod: Pod) -> None:
    _code_is_gone(pod)
    (pod.shared / "code").symlink_to(pod.shared / "elsewhere")


def _of_a_stranger(pod: Pod) -> None:
    os.chown(pod.shared / "checkout.json", STRANGER, STRANGER)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_another_attempt, "it is of another run, another attempt, or other pull steps"),
        (_other_steps, "it is of another run, another attempt, or other pull steps"),
        (_damaged, "checkout.json is damaged"),
        (_of_another_form, "checkout.json is damaged"),
        (_code_is_gone, "code/etl is missing"),
        (_points_outside, "is missing"),
        (_code_is_a_link, "code is a symbolic link"),
        (_of_a_stranger, f"checkout.json belongs to uid {STRANGER}, which is not in PREFECT_UV_CACHE_TRUST"),
    ],
)
def test_what_does_not_fit_is_not_used(
    pod: Pod, spoil: Callable[[Pod], None], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The main container says why, and pulls itself."""
    pod.init()
    spoil(pod)
    assert pod.handover.take() is None
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "is not used" in line]
    assert reason in line


def test_nothing_was_handed_over(pod: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    """The main container says so, and pulls itself."""
    assert pod.handover.take() is None
    assert f"no code was handed over in {pod.shared}: performing the pull steps" in capsys.readouterr().err


def test_second_attempt_of_an_init_container_begins_anew(pod: Pod) -> None:
    """What one has left that was killed is removed, its record first."""
    pod.init()
    (pod.shared / "code" / "left").touch()
    handover = pod.handover
    handover.make_base()
    assert handover.take() is None
    pod.init()
    assert sorted(path.name for path in (pod.shared / "code").iterdir()) == ["etl"]


def test_code_outside_of_the_shared_directory_is_not_handed_over(
    pod: Pod, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A step may work elsewhere: then the main container performs the steps, too."""
    pod.init(lambda checkout: replace(checkout, directory=tmp_path / "here"))
    assert "so the main container performs the pull steps again" in capsys.readouterr().err
    assert pod.handover.take() is None


def test_shared_directory_that_is_not_writable(pod: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    """The init container pulls into its working directory, with a warning."""
    pod.settings = replace(pod.settings, handover_dir=Path("/proc"))
    assert pod.init().directory == Path.cwd() / "etl"
    assert "the code cannot be handed over: " in capsys.readouterr().err
