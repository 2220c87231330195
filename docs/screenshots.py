"""`make screenshots`: pictures of the pages that Prefect's own UI shows of three runs, as documentation.

A deployment gets its environment, then a package more, then a `pyproject.toml` that its lockfile does not match. A real
server, a Docker worker, a git server and our image do what they do for a user; nothing in the pages is made up.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from PIL import Image

from docs.browser import MARGIN, PACKAGE, Browser, installed
from images import apt
from tests.pins import PREFECT
from tests.stack import PrefectServer, Repository, Run, Stack, git_clone, image_name
from tests.stack.containers import bridge_address
from tests.stack.process import wait_until
from tests.suite import mark

KEY = "prefect-uv-start"
PICTURES = Path(__file__).parent / "pictures"
LABEL = "prefect-uv.screenshots"
INSTALLING_SECONDS = 120
RECORD = {"PREFECT_UV_RECORD": "artifact"}
SLOW = {"nano_cpus": 500_000_000}
"""Half a processor: the first build lasts, on every machine."""
PROJECT = """\
[project]
name = "etl"
version = "1.0.0"
requires-python = ">=3.11"
dependencies = [{requirements}]
"""
FLOW = """\
from prefect import flow


@flow
def etl():
    print("1200 rows")
"""
FIRST = ("pandas", "pyarrow", f"prefect=={PREFECT}")


@dataclass(frozen=True)
class Studio:
    """A server with its pages, a worker, a browser, and a repository whose flow is deployed."""

    stack: Stack
    browser: Browser
    repository: Repository
    deployment: UUID
    folder: Path

    @classmethod
    @contextmanager
    def open(cls, image: str, folder: Path) -> Iterator[Studio]:
        """Start everything; at the end, stop and remove exactly that."""
        with ExitStack() as pieces:
            home = Path(pieces.enter_context(TemporaryDirectory(prefix=f"{LABEL}-", dir=mark.folder())))
            server = pieces.enter_context(PrefectServer.start(bridge_address(), "", home, ui=True))
            stack = pieces.enter_context(Stack.around(server, image, LABEL))
            pieces.enter_context(stack.worker({}))
            browser = pieces.enter_context(Browser.start(server.url))
            project = home / "etl"
            project.mkdir()
            write_project(project, *FIRST)
            repository = stack.git.create("etl", project)
            deployment = stack.deploy("etl", "flows.py:etl", [git_clone(repository.url)], env=RECORD)
            yield cls(stack, browser, repository, deployment, folder)

    def page(self, flow_run: UUID) -> str:
        """The address of a run's page."""
        return f"{self.stack.server.url.removesuffix('/api')}/v2/runs/flow-run/{flow_run}"

    def change(self, *requirements: str, lock: bool) -> None:
        """Commit a change of the project's dependencies, with its lockfile or without."""
        write_project(self.repository.work, *requirements)
        if lock:
            self.repository.lock()
        self.repository.commit("Change the dependencies")

    def save(self, name: str, last: str, margin: int = MARGIN) -> None:
        """Save what the browser shows, down to a margin below the element with the text `last`, as a picture."""
        path = self.folder / f"{name}.png"
        path.write_bytes(small(self.browser.picture(last, margin)))
        sys.stderr.write(f"{path.name}: {path.stat().st_size / 1000:.0f} kB\n")


def write_project(folder: Path, *requirements: str) -> None:
    """Write a project with a flow and these dependencies."""
    folder.joinpath("flows.py").write_text(FLOW)
    listed = ", ".join(f'"{requirement}"' for requirement in requirements)
    folder.joinpath("pyproject.toml").write_text(PROJECT.format(requirements=listed))


def show_progress(studio: Studio) -> None:
    """A run whose environment is being built: Pending, with a name and a message that say so."""
    stack = studio.stack
    flow_run = stack.api.create_run(studio.deployment, container_create_kwargs=SLOW)

    def installing() -> bool:
        state = stack.api.client.read_flow_run(flow_run).state
        return state is not None and state.name == "Installing"

    wait_until(installing, "a run that installs", INSTALLING_SECONDS)
    studio.browser.show(studio.page(flow_run), "Installing")
    studio.browser.click("Details", "State Message")
    studio.save("installing", "building environment")
    if not installing():
        raise RuntimeError("the run went on before its picture was taken")
    stack.follow(flow_run)


def show_record(studio: Studio) -> None:
    """The record of a start whose environment gets a package more: an artifact of its run."""
    studio.change(*FIRST, "openpyxl", lock=True)
    run = run_to_end(studio, "Completed")
    studio.browser.show(studio.page(run.flow_run.id), "Artifacts")
    studio.browser.click("Artifacts", KEY)
    studio.save("record-of-the-run", "What this run was started from", margin=40)
    studio.browser.click(KEY, "ready in", "Packages", "sync")
    studio.save("record", "launch ")


def show_refusal(studio: Studio) -> None:
    """A run whose lockfile is stale: Crashed, with our error in the log and as message."""
    studio.change(*FIRST, "openpyxl", "tabulate", lock=False)
    run = run_to_end(studio, "Crashed")
    studio.browser.show(studio.page(run.flow_run.id), "Crashed", "error[lockfile-stale]")
    studio.save("refused-log", "PREFECT_UV_LOCK=frozen", margin=8)
    studio.browser.click("Details", "State Message")
    studio.save("refused-message", "PREFECT_UV_LOCK=frozen")


def run_to_end(studio: Studio, expected: str) -> Run:
    """Run the deployment, and wait until the run has ended in this state."""
    run = studio.stack.follow(studio.stack.api.create_run(studio.deployment))
    if run.state.name != expected:
        raise RuntimeError(f"not {expected}: {run.report()}")
    return run


def small(png: bytes) -> bytes:
    """The same picture with a palette of 256 colours: a third of the size that a browser's picture of a page has."""
    written = BytesIO()
    with Image.open(BytesIO(png)) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


def main() -> None:
    """Take all pictures."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if not installed():
        apt.install(PACKAGE, "it shows the pages of Prefect's UI")
    PICTURES.mkdir(exist_ok=True)
    with Studio.open(image_name("py313"), PICTURES) as studio:
        show_progress(studio)
        show_record(studio)
        show_refusal(studio)


if __name__ == "__main__":
    main()
