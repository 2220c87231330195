"""`make demo`: have a real Prefect worker run examples/hello twice, and show how long each phase took.

The images have been built and Docker is running when this starts. Everything that it starts is removed at the end, and
what an interrupted demo left behind is removed first.
"""

from __future__ import annotations

import fcntl
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.stack import Run, Stack, git_clone, image_name, remove_left

LABEL = "prefect-uv.demo"
SUMMARY = re.compile(r"ready in (?P<total>\d+) ms: (?P<phases>.+)")
PHASE = re.compile(r"(\w+) (\d+)(?: \((\w+))?")


@dataclass(frozen=True)
class Phases:
    """The summary line of a run: the milliseconds of each phase and of all, and whether the environment was a hit."""

    milliseconds: dict[str, int]
    environment: str

    @classmethod
    def read(cls, run: Run) -> Phases:
        """Parse the summary line in the flow run's log."""
        summary = SUMMARY.search(run.messages)
        if summary is None:
            raise RuntimeError(f"no summary line in the log of {run.flow_run.name}:\n{run.report()}")
        phases = PHASE.findall(summary["phases"])
        times = {name: int(milliseconds) for name, milliseconds, _ in phases}
        return cls({**times, "total": int(summary["total"])}, next(result for *_, result in phases if result))


def say(text: str = "") -> None:
    """Print a line immediately."""
    print(text, flush=True)


@contextmanager
def exclusive() -> Iterator[None]:
    """Let only one demo run at a time, so that everything with its label was left behind by an earlier one."""
    with Path(tempfile.gettempdir(), "prefect-uv-demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another `make demo` is running on this machine.")
        yield


def show(title: str, run: Run) -> None:
    """Print a run's state, and its log as Prefect's UI shows it."""
    say(f"\n{title}: flow run {run.flow_run.name}, {run.state.name}")
    for log in run.logs:
        for line in log.message.splitlines():
            say(f"    {log.name.rpartition('.')[2]:<10} | {line}")


def show_table(cold: Phases, warm: Phases) -> None:
    """Print the phases of both runs side by side."""
    say(f"\n{'milliseconds until Prefect starts':<36}{'cold':>8}{'warm':>8}")
    for name, milliseconds in cold.milliseconds.items():
        say(f"    {name:<32}{milliseconds:>8}{warm.milliseconds[name]:>8}")
    say(f"    {'environment on the volume':<32}{cold.environment:>8}{warm.environment:>8}")


def demo(stack: Stack, name: str = "hello") -> bool:
    """Deploy examples/hello, run it twice, and return whether both completed and the second found its environment."""
    repository = stack.git.create(name, Path(__file__).parent / "hello")
    say(f"Deploying {repository.url} with the image {stack.image} …")
    deployment = stack.deploy(name, "flows.py:hello", [git_clone(repository.url)])
    say("Running it with an empty cache volume …")
    cold = stack.follow(stack.api.create_run(deployment, {"name": "cold start"}))
    show("Cold", cold)
    say("\nRunning it again …")
    warm = stack.follow(stack.api.create_run(deployment, {"name": "warm start"}))
    show("Warm", warm)
    show_table(Phases.read(cold), Phases.read(warm))
    completed = all(run.state.name == "Completed" for run in (cold, warm))
    return completed and Phases.read(warm).environment == "hit"


def main() -> int:
    """Run the demo and return the exit code: 0 if both runs went as they should."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with exclusive():
        try:
            remove_left(LABEL)
            say("Starting a Prefect server, a Docker worker and a git server …")
            with Stack.start(image_name("py313"), LABEL) as stack:
                succeeded = demo(stack)
        except KeyboardInterrupt:
            say("Interrupted. Everything that was started has been removed.")
            return 130
    say("\nBoth runs completed, and the second found its environment." if succeeded else "\nThe demo failed.")
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
