"""One build per environment: containers that want the same one wait while one of them builds it.

The key's work lock decides who builds. If its holder dies or falls silent, the next container builds; if the file
system has no locks, several build and the first rename wins. For a minute, a failed build is reported
to every container that executes a run and would build the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.cache_volume.work_lock import holding_work_lock
from prefect_uv.environments.build.builder import EnvironmentBuild
from prefect_uv.environments.build.recent_failures import RecentFailure
from prefect_uv.environments.key.manifest import (
    DescribedEnvironment,
    choose_base,
    described_environments,
    explain_miss,
    nearest_environment,
)
from prefect_uv.environments.published_environments import Environment, PublishedEnvironments, disappeared_error
from prefect_uv.errors import SyncError
from prefect_uv.log.progress import logging_progress

BUILT_ELSEWHERE = "another container has just built it"


@dataclass(frozen=True)
class ExclusiveBuild:
    """A build that one container performs for all.

    Attributes:
        build: what to build.
        published: where to publish it.
        find: opens the environment if another container has published it by now.
        baked: the environments in the image, which this one may be built on.
        failure: how the same build failed recently, if it did.
    """

    build: EnvironmentBuild
    published: PublishedEnvironments
    find: Callable[[], Environment | None]
    baked: Iterable[DescribedEnvironment]
    failure: RecentFailure

    def perform(self) -> Environment:
        """Build the environment, or take the one that another container has built while we waited.

        Raises:
            SyncError: the build failed, here or in another container within the last minute.
        """
        key, cache = self.build.contents.key, self.build.cache
        with holding_work_lock(cache.locks / key, self._is_decided, self._report):
            if environment := self.find():
                return replace(environment, why=BUILT_ELSEWHERE)
            if error := self._recent_failure():
                raise error
            try:
                with logging_progress(self.build.log, self._description()):
                    why = self._build_and_publish()
            except SyncError as error:
                self.failure.remember(error, self.build.log.mask)
                raise
        self.failure.forget()
        built = self.published.open(key, hit=False)
        if built is None:
            raise disappeared_error(key)
        return replace(built, why=why)

    def _is_decided(self) -> bool:
        """Whether waiting is over: the environment is published, or another container could not build it."""
        return self.published.has(self.build.contents.key) or self._recent_failure() is not None

    def _recent_failure(self) -> SyncError | None:
        return self.failure.recall() if self.build.uv.settings.replay_failures else None

    def _description(self) -> str:
        contents = self.build.contents
        return f"building environment {contents.key[:12]} with {len(contents.packages)} packages"

    def _report(self, line: str) -> None:
        self.build.log.info(f"environment {self.build.contents.key[:12]}: {line}")

    def _build_and_publish(self) -> str:
        """Build it; return why that was necessary."""
        plan, contents, log = self.build.plan, self.build.contents, self.build.log
        candidates = [item for item in described_environments(self.build.cache) if self.build.cache.trusts(item[0])]
        nearest = plan.base or nearest_environment(candidates, contents, self.build.purpose)
        why = explain_miss(contents, self.build.purpose, nearest)
        log.info(why)
        similar = None if plan.base else choose_base([*candidates, *self.baked], contents)
        lease = take_lease(similar[0], touch=False) if similar else None
        try:
            with self.build.complete_environment(similar if lease is not None else None) as environment:
                self.published.publish(environment, contents.key, log)
        finally:
            if lease is not None:
                os.close(lease)
        return why
