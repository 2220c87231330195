"""`prefect-uv warm`: the code and the environments of deployments come onto the cache volume before a run does."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect_uv.cache_volume.full_disk import full_disk_as_error
from prefect_uv.deployments.deployed_sessions import DeployedSessions
from prefect_uv.deployments.find_deployments import Deployment, find_deployments
from prefect_uv.environments import Environment
from prefect_uv.errors import PrefectUvError
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.warm_options import WarmOptions
from prefect_uv.preparation import prepare
from prefect_uv.pull import Checkout, pull
from prefect_uv.read_only_root import with_writable_directories
from prefect_uv.session import Session

BUILT, THERE, FAILED = "built", "there", "failed"
HEADINGS = ("DEPLOYMENT", "RESULT", "ENVIRONMENT", "SECONDS", "WHY")
CODE_FIELDS = ("pull_steps", "path", "storage_document_id")
"""The fields of a deployment that say where its code is."""

Members = list[tuple[Deployment, Session]]


@dataclass(frozen=True)
class WarmResult:
    """What became of a deployment.

    Attributes:
        name: the deployment's full name.
        result: BUILT, THERE or FAILED.
        key: the key of its environment; empty if it failed.
        seconds: how long that took.
        why: the headline of the error, if it failed.
    """

    name: str
    result: str
    key: str = ""
    seconds: float = 0.0
    why: str = ""


def warm(session: Session) -> int:
    """Prepare the deployments that the options choose, and show a table.

    Environments are built with bytecode, and stay in use until all are there: garbage collection for one never removes
    another.

    Returns:
        1 if a deployment failed, else 0.
    """
    settings = with_writable_directories(session.settings, session.log, session.cleanup)
    session.settings = replace(settings, given={"UV_COMPILE_BYTECODE": "1", **settings.given})
    sessions = DeployedSessions(session)
    deployments = session.phase("ask", find_deployments, sessions.api, session.options.warm or WarmOptions())
    session.log.info(f"warming {len(deployments)} deployment(s) on {settings.cache_dir}")
    warming, begin = Warming(session), time.monotonic()
    results = sorted(warming.prepare_all(sessions, deployments), key=lambda one: one.name)
    _show_table(results, session.log)
    _show_counts(results, time.monotonic() - begin, session.log)
    return 1 if any(one.result == FAILED for one in results) else 0


class Warming:
    """Prepares deployments, one after another; those with the same code and variables share a checkout."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._leases: dict[str, int] = {}

    def prepare_all(self, sessions: DeployedSessions, deployments: Sequence[Deployment]) -> Iterator[WarmResult]:
        """Prepare them, and yield what became of each."""
        groups: dict[str, Members] = defaultdict(list)
        for deployment in deployments:
            try:
                member = sessions.make(deployment)
            except PrefectUvError as error:
                yield self._failed(deployment, error)
            else:
                groups[_code_key(member)].append((deployment, member))
        for members in groups.values():
            yield from self._prepare_group(members)

    def _prepare_group(self, members: Members) -> Iterator[WarmResult]:
        """Pull the code once, and prepare each deployment with it."""
        begin = time.monotonic()
        with TemporaryDirectory(prefix="prefect-uv-", ignore_cleanup_errors=True) as base:
            try:
                with full_disk_as_error(self._session.settings.cache_dir):
                    checkout = _pull_into(Path(base), members[0][1])
            except PrefectUvError as error:
                yield from (self._failed(deployment, error) for deployment, _ in members)
                return
            for deployment, member in members:
                yield self._prepare(deployment, member, checkout, begin)
                begin = time.monotonic()

    def _prepare(self, deployment: Deployment, member: Session, checkout: Checkout, begin: float) -> WarmResult:
        self._session.log.info(
            f"deployment {deployment.name}: {deployment.document.get('entrypoint')} {checkout.origin}"
        )
        try:
            with full_disk_as_error(member.settings.cache_dir), member.cleanup:
                flow = prepare(member, deployment.document, checkout)
                self._keep(flow.environment)
                with flow.maintenance:
                    pass
        except PrefectUvError as error:
            return self._failed(deployment, error)
        environment = flow.environment
        result = THERE if environment.hit else BUILT
        return WarmResult(deployment.name, result, environment.key, time.monotonic() - begin)

    def _keep(self, environment: Environment) -> None:
        """Keep the environment in use, with one lease however many deployments have it."""
        if self._leases.setdefault(environment.key, environment.lease) != environment.lease:
            os.close(environment.lease)

    def _failed(self, deployment: Deployment, error: PrefectUvError) -> WarmResult:
        self._session.log.error(f"deployment {deployment.name}: {error.render()}")
        return WarmResult(deployment.name, FAILED, why=f"error[{error.slug}]: {error.headline}")


def _pull_into(base: Path, session: Session) -> Checkout:
    """Get the code of a deployment into a directory."""
    return session.phase("pull", pull, session.deployment, session.settings, session.log, session.api, base)


def _code_key(session: Session) -> str:
    """What is the same for deployments that can share a checkout."""
    code = [session.deployment.get(field) for field in CODE_FIELDS]
    return json.dumps([code, sorted(session.settings.given.items())])


def _show_table(results: Sequence[WarmResult], log: RunLog) -> None:
    rows = [HEADINGS]
    rows += [(one.name, one.result, one.key[:12], f"{one.seconds:.1f}" if one.key else "", one.why) for one in results]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        log.show("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())


def _show_counts(results: Sequence[WarmResult], seconds: float, log: RunLog) -> None:
    counts = Counter(one.result for one in results)
    keys = len({one.key for one in results if one.key})
    counted = ", ".join(f"{counts[result]} {result}" for result in (BUILT, THERE, FAILED))
    log.show(f"{len(results)} deployment(s) with {keys} environment(s): {counted} ({seconds:.1f} s)")
