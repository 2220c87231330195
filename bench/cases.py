"""The cases that are compared: which variants take part in each, and how each run is prepared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from uuid import UUID

from bench.far_services import far
from bench.goals import (
    COLD,
    FAR_SERVICES,
    FLOOR,
    FROZEN,
    GONE,
    LATE,
    OFFICIAL,
    ONE_PROCESSOR,
    OURS,
    PACKAGE_CHANGED,
    PLAIN,
    UNCHANGED,
    WARM,
)
from bench.measure import Measurement, measure_start
from bench.testbed import IMAGE, Testbed, Variant, build_official
from tests.pins import PREFECT
from tests.stack import git, image_name
from tests.stack.images import built, configured

START_SCRIPT = "/opt/prefect-uv/lib/python3*/site-packages/prefect_uv/engine/_run_module.py"
HEAVY = {
    '"humanize==4.11.0"': '"pandas", "dbt-core<1.12", "dbt-duckdb"',
    "import time": "import time\n\nimport pandas\nfrom dbt.cli.main import dbtRunner",
}
OLDER_PREFECT = {f"prefect=={PREFECT}": "prefect==3.8.8"}
FIRST_PROCESSOR = {"cpuset_cpus": "0"}
EXTRA_PACKAGE = "cowsay==6.1"
LIST_EVERYTHING = "ls -d *"
LIST_ENVIRONMENTS = "ls -d envs/v1/*"
NEWEST_ENVIRONMENT = "ls -dt /cache/envs/v1/* | head -n 1"
# Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/settings/models/runner.py
AUTO_INSTALL = {"PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "true"}


@dataclass(frozen=True)
class Entrant:
    """A variant that takes part in a case.

    Attributes:
        variant: the variant.
        deployment: the deployment that it runs.
        prepare: called before each run, outside the measured time.
        environ: further environment variables.
        is_close: whether its results differ so little from another's that a median needs more runs.
    """

    variant: Variant
    deployment: UUID
    prepare: Callable[[], None] = lambda: None
    environ: Mapping[str, str] = field(default_factory=dict)
    is_close: bool = False

    def run(self, testbed: Testbed) -> Measurement:
        """Prepare and measure one run."""
        self.prepare()
        return measure_start(testbed, self.variant, self.deployment, self.environ)


@dataclass(frozen=True)
class Case:
    """A situation in which variants start, in the order of a round; without a warm-up if no run is warm."""

    name: str
    entrants: Sequence[Entrant]
    warms_up: bool = True


@dataclass(frozen=True)
class Variants:
    """All variants, and the deployments of the project's branches.

    Variants that start the engine with other commands have deployments of their own, because a run expects the command
    of the deployment's last one (ADR 37).
    """

    ours: Variant
    lean: Variant
    official: Variant
    system: Variant
    floor: Variant
    frozen: Variant
    baked: Variant
    main_branch: UUID
    lean_branch: UUID
    changed_branch: UUID
    heavy_branch: UUID
    older_branch: UUID
    older_floor: Variant
    far_branch: UUID
    far_api: Mapping[str, str]

    @classmethod
    @contextmanager
    def open(cls, testbed: Testbed) -> Iterator[Variants]:
        """Create the volumes and run ours once: the floor uses the environment that this builds."""
        with ExitStack() as resources:
            our_cache, official_cache = (resources.enter_context(testbed.volume()) for _ in range(2))
            main_branch = testbed.deploy("main")
            changed_branch = _deploy_branch(testbed, "changed", {"humanize==4.11.0": "humanize==4.10.0"})
            heavy_branch = _deploy_branch(testbed, "heavy", HEAVY)
            older_branch = _deploy_branch(testbed, "older", OLDER_PREFECT)
            far_url = resources.enter_context(far(testbed.repository.url))
            far_api = {"PREFECT_API_URL": resources.enter_context(far(testbed.server.url))}
            image, official_image = image_name(IMAGE), build_official(testbed.repository.work)
            ours = Variant(OURS, image, (our_cache, "/cache"), {})
            official = Variant(OFFICIAL, official_image, (official_cache, "/root/.cache/uv"), AUTO_INSTALL)
            python, older_python = (_built_python(testbed, ours, branch) for branch in (main_branch, older_branch))
            start_script = our_cache.run("sh", "-c", f"echo {START_SCRIPT}").strip()
            floor = Variant(
                FLOOR,
                image,
                (our_cache, "/cache"),
                {"PREFECT__FLOW_ENTRYPOINT": "flow.py:idle"},
                command=(python, "-m", "prefect.engine"),
                entrypoint=("/usr/bin/tini", "--"),
                code=Path(testbed.repository.work),
            )
            (testbed.folder / "configured").mkdir()
            base = resources.enter_context(configured(image, testbed.folder / "configured"))
            baked = resources.enter_context(built(testbed.repository.work, f"--build-arg=BASE={base}"))
            yield cls(
                ours=ours,
                lean=replace(ours, name="ours, launcher python", environ={"PREFECT_UV_LAUNCHER": "python"}),
                official=official,
                system=replace(official, name="official, own environment", environ={}),
                floor=floor,
                frozen=replace(floor, name=FROZEN, command=(python, start_script, "prefect.engine")),
                baked=Variant(OURS, baked, (resources.enter_context(testbed.volume()), "/cache"), {}),
                main_branch=main_branch,
                lean_branch=testbed.deploy("lean"),
                changed_branch=changed_branch,
                heavy_branch=heavy_branch,
                older_branch=older_branch,
                older_floor=replace(floor, command=(older_python, *floor.command[1:])),
                far_branch=testbed.deploy("far", url=far_url),
                far_api=far_api,
            )

    def cases(self) -> Iterator[Case]:
        """All cases, each with its variants in the order of a round."""
        ours, floor = Entrant(self.ours, self.main_branch), Entrant(self.floor, self.main_branch)
        # Prefect's own path builds an environment for each run; it is warm if uv's cache is.
        official = Entrant(self.official, self.main_branch)
        late = replace(self.ours, name=LATE, environ={"PREFECT_UV_EARLY_ENGINE": "false"})
        plain = replace(late, name=PLAIN, environ={**late.environ, "PREFECT_UV_IMPORT_BUNDLE": "false"})
        others = [Entrant(self.frozen, self.main_branch), Entrant(self.lean, self.lean_branch), official]
        others += [Entrant(variant, self.main_branch, is_close=True) for variant in (late, plain)]
        yield Case(WARM, [replace(ours, is_close=True), replace(floor, is_close=True), *others])
        key = Path(self.floor.command[0]).parents[1].name
        forget_changed = partial(self.ours.move_aside, f"{LIST_ENVIRONMENTS} | grep -v {key}")
        changed = Entrant(self.ours, self.changed_branch, forget_changed, is_close=True)
        unchanged = Entrant(replace(self.ours, name=UNCHANGED), self.main_branch, is_close=True)
        yield Case(PACKAGE_CHANGED, [changed, unchanged, Entrant(self.official, self.changed_branch), floor])
        gone = replace(ours, prepare=partial(self.ours.move_aside, LIST_ENVIRONMENTS))
        yield Case(GONE, [gone, official, floor], warms_up=False)
        system = Entrant(self.system, self.main_branch)
        yield Case("baked image", [Entrant(self.baked, self.main_branch), system, floor])
        with_extra = [
            replace(ours, environ={"PREFECT_UV_EXTRA_PACKAGES": EXTRA_PACKAGE}),
            replace(system, environ={"EXTRA_PIP_PACKAGES": EXTRA_PACKAGE}),
        ]
        yield Case("extra packages", with_extra)
        same = [self.ours, late, plain, self.floor]
        yield Case(
            FAR_SERVICES, [Entrant(variant, self.far_branch, environ=self.far_api, is_close=True) for variant in same]
        )
        heavy = [self.ours, late, plain]
        yield Case("a flow with pandas and dbt", [Entrant(variant, self.heavy_branch) for variant in heavy])
        older = [self.ours, late, plain, self.older_floor]
        yield Case("Prefect 3.8.8", [Entrant(variant, self.older_branch, is_close=True) for variant in older])
        alone = [replace(variant, options=FIRST_PROCESSOR) for variant in same]
        yield Case(ONE_PROCESSOR, [Entrant(variant, self.main_branch, is_close=True) for variant in alone])
        cold = [
            replace(entrant, prepare=partial(entrant.variant.move_aside, LIST_EVERYTHING))
            for entrant in (ours, official)
        ]
        yield Case(COLD, cold, warms_up=False)


def _built_python(testbed: Testbed, ours: Variant, deployment: UUID) -> str:
    """Run a deployment with ours for the first time, and return the Python of the environment that this builds."""
    measure_start(testbed, ours, deployment)
    return ours.cache[0].run("sh", "-c", NEWEST_ENVIRONMENT).strip() + "/bin/python"


def _deploy_branch(testbed: Testbed, branch: str, replacements: Mapping[str, str]) -> UUID:
    """Push a branch with some texts replaced in the project, and deploy it.

    Raises:
        ValueError: the project does not have one of the texts.
    """
    work = testbed.repository.work
    git(work, "checkout", "--quiet", "-b", branch, "main")
    files = (work / "pyproject.toml", work / "flow.py")
    for old, new in replacements.items():
        texts = {file: text for file in files if old in (text := file.read_text())}
        if not texts:
            message = f"the project does not have {old}"
            raise ValueError(message)
        for file, text in texts.items():
            file.write_text(text.replace(old, new))
    testbed.repository.lock()
    testbed.repository.commit(branch)
    git(work, "checkout", "--quiet", "main")
    return testbed.deploy(branch, branch)
