"""What is compared: who takes part in each case, and what is done before each run so that it is that case."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from uuid import UUID

from bench.arena import IMAGE, Arena, Contestant
from bench.goals import COLD, FLOOR, FROZEN, GONE, OFFICIAL, OURS, PACKAGE_CHANGED, UNCHANGED, WARM
from bench.measure import Figures, measure
from tests.stack import git, image_name
from tests.stack.images import built, configured

CHANGED = "changed"
START = "/opt/prefect-uv/lib/python3*/site-packages/prefect_uv/engine/_run_module.py"
EXTRA = "cowsay==6.1"
EVERYTHING, ENVIRONMENTS, NEW_ENVIRONMENTS = "ls -d *", "ls -d envs/v1/*", "ls -dt envs/v1/* | head -n -1"
AUTO = {"PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "true"}


@dataclass(frozen=True)
class Entry:
    """A contestant in a case, with what makes its run that case.

    Of those that are near each other more rounds are needed: single runs differ by more than they do.
    """

    contestant: Contestant
    deployment: UUID
    before: Callable[[], None] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)
    is_near: bool = False

    def run(self, arena: Arena) -> Figures:
        """One run."""
        self.before()
        return measure(arena, self.contestant, self.deployment, self.environment)


@dataclass(frozen=True)
class Case:
    """Who runs in which turn; a case whose runs all start from nothing has no warm-up."""

    name: str
    entries: Sequence[Entry]
    warms_up: bool = True


@dataclass(frozen=True)
class Field:
    """All contestants, each with a volume of its own, and the deployments of two states of the project."""

    ours: Contestant
    lean: Contestant
    official: Contestant
    system: Contestant
    floor: Contestant
    frozen: Contestant
    baked: Contestant
    main: UUID
    changed: UUID

    @classmethod
    @contextmanager
    def open(cls, arena: Arena) -> Iterator[Field]:
        """Make the volumes; the floor gets the environment that ours has built."""
        with ExitStack() as pieces:
            cache, theirs = pieces.enter_context(arena.volume()), pieces.enter_context(arena.volume())
            main = arena.deploy("main")
            changed = _changed(arena)
            image = image_name(IMAGE)
            ours = Contestant(OURS, image, (cache, "/cache"), {})
            official = Contestant(OFFICIAL, arena.official_image, (theirs, "/root/.cache/uv"), AUTO)
            measure(arena, ours, main)
            environment = cache.run("sh", "-c", "echo /cache/envs/v1/*").strip()
            start = cache.run("sh", "-c", f"echo {START}").strip()
            floor = Contestant(
                FLOOR,
                image,
                (cache, "/cache"),
                {"PREFECT__FLOW_ENTRYPOINT": "flow.py:idle"},
                command=(f"{environment}/bin/python", "-m", "prefect.engine"),
                entrypoint=("/usr/bin/tini", "--"),
                code=Path(arena.repository.work),
            )
            (arena.home / "configured").mkdir()
            base = pieces.enter_context(configured(image, arena.home / "configured"))
            baked = pieces.enter_context(built(arena.repository.work, f"--build-arg=BASE={base}"))
            yield cls(
                ours=ours,
                lean=Contestant("ours, launcher python", image, (cache, "/cache"), {"PREFECT_UV_LAUNCHER": "python"}),
                official=official,
                system=Contestant("official, own environment", arena.official_image, (theirs, "/root/.cache/uv"), {}),
                floor=floor,
                frozen=replace(floor, name=FROZEN, command=(floor.command[0], start, "prefect.engine")),
                baked=Contestant(OURS, baked, (pieces.enter_context(arena.volume()), "/cache"), {}),
                main=main,
                changed=changed,
            )

    def cases(self) -> Iterator[Case]:
        """Who takes part in what, in the order of the runs of one round."""
        ours, floor, theirs = Entry(self.ours, self.main), Entry(self.floor, self.main), self._theirs(self.main)
        others = [Entry(self.frozen, self.main), Entry(self.lean, self.main), theirs]
        yield Case(WARM, [replace(ours, is_near=True), replace(floor, is_near=True), *others])
        changed = Entry(self.ours, self.changed, partial(self.ours.put_away, NEW_ENVIRONMENTS), is_near=True)
        unchanged = Entry(replace(self.ours, name=UNCHANGED), self.main, is_near=True)
        yield Case(PACKAGE_CHANGED, [changed, unchanged, self._theirs(self.changed), floor])
        gone = replace(ours, before=partial(self.ours.put_away, ENVIRONMENTS))
        yield Case(GONE, [gone, theirs, floor], warms_up=False)
        system = Entry(self.system, self.main)
        yield Case("baked image", [Entry(self.baked, self.main), system, floor])
        more = [({"PREFECT_UV_EXTRA_PACKAGES": EXTRA}, ours), ({"EXTRA_PIP_PACKAGES": EXTRA}, system)]
        yield Case("extra packages", [replace(entry, environment=variables) for variables, entry in more])
        cold = [replace(entry, before=partial(entry.contestant.put_away, EVERYTHING)) for entry in (ours, theirs)]
        yield Case(COLD, cold, warms_up=False)

    def _theirs(self, deployment: UUID) -> Entry:
        """Prefect's path builds an environment on each run: warm means that uv's cache is."""
        return Entry(self.official, deployment)


def _changed(arena: Arena) -> UUID:
    """The deployment of a branch on which one package has another version."""
    work = arena.repository.work
    git(work, "checkout", "--quiet", "-b", CHANGED)
    project = work / "pyproject.toml"
    project.write_text(re.sub(r"humanize==[\d.]+", "humanize==4.10.0", project.read_text()))
    arena.repository.lock()
    arena.repository.commit("Another humanize")
    git(work, "checkout", "--quiet", "main")
    return arena.deploy(CHANGED, CHANGED)
