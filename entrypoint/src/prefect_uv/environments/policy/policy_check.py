"""The check of a policy: reads the verdict about an environment, or works it out and stores it for the next start.

Advisories are asked for when a verdict is worked out, and from then on while flows run. The last answer stands until
there is another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.environments.policy.policy import Policy
from prefect_uv.environments.policy.verdict import HASH, Verdict, Violation, look_up_verdict, now_attempted, places_of
from prefect_uv.environments.published_environments import Environment
from prefect_uv.errors import PolicyUnknownError, PolicyViolatedError
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings

if TYPE_CHECKING:
    from prefect_uv.environments.plan.source import Plan
    from prefect_uv.environments.policy.package_facts import PackageFacts

VIOLATED_HINT = (
    "Lock other packages (`uv lock --upgrade-package NAME`), commit and push; or let the policy accept this:"
    " PREFECT_UV_POLICY_ACCEPTED has advisories, PREFECT_UV_POLICY_EXEMPT packages."
)
UNKNOWN_HINT = (
    "Allow the network to reach the service, or name another in PREFECT_UV_POLICY_AUDIT_URL; or bake the environment"
    " where it can be reached; or set PREFECT_UV_POLICY=warn."
)
RECHECK_SECONDS = 20.0


class PolicyCheck:
    """Applies a policy to the environments of one start.

    Attributes:
        policy: the rules.
        verdict: what they say about the environment that was judged last; None before.
    """

    def __init__(self, policy: Policy, settings: Settings, log: RunLog) -> None:
        """Begin.

        Args:
            policy: the rules.
            settings: with PREFECT_UV_POLICY and the variables for uv.
            log: gets a line if advisories cannot be asked for.
        """
        self.policy = policy
        self.verdict: Verdict | None = None
        self._settings = settings
        self._log = log
        self._answers: dict[str, tuple[Violation, ...]] = {}
        self._facts: dict[str, Mapping[str, PackageFacts]] = {}

    @property
    def refuses(self) -> bool:
        """Whether a violation stops the start."""
        return self._settings.policy == "refuse"

    def before_build(self, plan: Plan) -> None:
        """If the policy refuses, stop before anything of a package that is not allowed is fetched.

        Raises:
            PolicyViolatedError: a package is not allowed.
            PolicyUnknownError: there are no advisories.
        """
        if not self.refuses:
            return
        from prefect_uv.environments.policy.package_facts import planned_facts  # noqa: PLC0415 (no warm start builds)
        from prefect_uv.environments.policy.rules import find_violations  # noqa: PLC0415

        base = plan.base[1].contents.packages if plan.base else {}
        packages = {name: package for name, package in plan.contents.packages.items() if name not in base}
        versions = {name: package.version for name, package in packages.items()}
        verdict = Verdict(find_violations(self.policy, planned_facts(versions, plan.origins()), installed=False))
        asked = {name: package.version for name, package in plan.contents.packages.items()}
        self.verdict = self._audited(verdict, plan.contents.key, asked)
        self.enforce(self.verdict)

    def judge(
        self,
        environment: Environment,
        volume: CacheDirectory,
        baked: CacheDirectory,
        hashed: Callable[[], set[str]],
        plan: Callable[[], Plan | None],
    ) -> None:
        """Apply the policy to an environment.

        Args:
            environment: the environment.
            volume: where the verdict is stored.
            baked: where that of a baked environment may be, too.
            hashed: the names of the packages that this project pins by hashes.
            plan: asks uv about the environment's packages again, in case that it has no facts about them.

        Raises:
            PolicyViolatedError: the policy refuses it.
            PolicyUnknownError: the policy refuses it, because advisories were never known.
        """
        caches = places_of(environment.path, volume, baked)
        verdict = look_up_verdict(caches, environment.key, self.policy)
        if verdict is None or (self.refuses and self.policy.audits and not verdict.audited):
            verdict = self._work_out(environment, volume, plan)
        if any(violation.rule == HASH for violation in verdict.violations):
            verdict = self._without_pinned(verdict, hashed(), environment, volume)
        self.verdict = verdict
        if self.refuses:
            self.enforce(verdict)

    def recheck(self, environment: Environment, volume: CacheDirectory, baked: CacheDirectory) -> None:
        """Ask for the advisories again if that is due, for the next start.

        Args:
            environment: the environment that is in use.
            volume: where the verdict is stored.
            baked: where that of a baked environment may be, too.
        """
        caches = places_of(environment.path, volume, baked)
        verdict = look_up_verdict(caches, environment.key, self.policy) or self.verdict
        if verdict is None or not verdict.is_due(self.policy):
            return
        self._store(now_attempted(verdict), environment, volume)
        checked = self._audited(verdict, environment.key, self._versions(environment), RECHECK_SECONDS)
        self.verdict = checked
        if checked.audited == verdict.audited:
            return
        self._store(checked, environment, volume)
        if new := set(checked.advisories) - set(verdict.advisories):
            what = "is refused" if self.refuses else "is warned of"
            texts = "; ".join(sorted(map(str, new)))
            self._log.warning(f"policy: known since the last check, and the next start {what}: {texts}")

    def enforce(self, verdict: Verdict) -> None:
        """Refuse the environment if the verdict is not that it passes.

        Raises:
            PolicyViolatedError, PolicyUnknownError: it does not pass.
        """
        if verdict.all:
            found = "\n".join(f"{violation.rule}: {violation}" for violation in verdict.all)
            raise PolicyViolatedError(f"The policy does not allow: {verdict.summary}.", found, VIOLATED_HINT)
        if not verdict.passes(self.policy):
            raise PolicyUnknownError(
                "The policy allows no environment about which no advisories are known.",
                "The log says why they could not be asked for.",
                UNKNOWN_HINT,
            )

    def _work_out(self, environment: Environment, volume: CacheDirectory, plan: Callable[[], Plan | None]) -> Verdict:
        from prefect_uv.environments.policy.package_facts import read_facts  # noqa: PLC0415 (a warm start has a verdict)
        from prefect_uv.environments.policy.rules import find_violations  # noqa: PLC0415

        stored = read_facts(environment.path)
        facts, complete = (stored, True) if stored is not None else self._facts_by_plan(environment, plan())
        self._facts[str(environment.path)] = facts
        violations = find_violations(self.policy, facts, installed=True)
        versions = {name: item.version for name, item in facts.items()}
        verdict = self._audited(Verdict(violations), environment.key, versions)
        if complete:
            self._store(verdict, environment, volume)
        return verdict

    def _without_pinned(
        self, verdict: Verdict, hashed: set[str], environment: Environment, volume: CacheDirectory
    ) -> Verdict:
        """The verdict, which another project without hashes may have led to, without what this project pins.

        The key has the hashes of the files, so these are the pinned ones, for every project with this key.
        """
        kept = tuple(one for one in verdict.violations if one.rule != HASH or one.package not in hashed)
        if kept == verdict.violations:
            return verdict
        pinned = replace(verdict, violations=kept)
        self._store(pinned, environment, volume)
        return pinned

    def _facts_by_plan(self, environment: Environment, plan: Plan | None) -> tuple[dict[str, PackageFacts], bool]:
        """Facts about an environment of an older release, and whether uv has said where its packages come from."""
        from prefect_uv.environments.key.manifest import Manifest  # noqa: PLC0415 (rarely needed)
        from prefect_uv.environments.policy.package_facts import installed_facts, read_facts  # noqa: PLC0415

        manifest = Manifest.read(environment.path)
        if plan is None or manifest is None:
            return installed_facts(environment.path, {}, {}), False
        same = {
            name for name, package in plan.contents.packages.items() if manifest.contents.packages.get(name) == package
        }
        origins = {name: origins for name, origins in plan.origins().items() if name in same}
        base = plan.base[0] if plan.base else None
        known = (read_facts(base) or self._facts.get(str(base), {})) if base else {}
        return installed_facts(environment.path, origins, known), True

    def _audited(
        self, verdict: Verdict, key: str, versions: Mapping[str, str], seconds: float | None = None
    ) -> Verdict:
        """The verdict with today's advisories; with those that it has, and a line in the log, if nobody answers."""
        if not self.policy.audits:
            return verdict
        from prefect_uv.environments.policy.advisories import AuditError, ask_advisories  # noqa: PLC0415 (once a day)

        now = time.time()
        try:
            if key not in self._answers or seconds:
                self._answers[key] = ask_advisories(self.policy, versions, self._settings, seconds)
        except AuditError as error:
            last = time.strftime("%Y-%m-%d", time.gmtime(verdict.audited))
            stand = f"those of {last} stand" if verdict.audited else "none are known"
            self._log.warning(f"policy: advisories cannot be asked for, {stand}: {error}")
            return replace(verdict, attempted=now)
        return replace(verdict, advisories=self._answers[key], audited=now, attempted=now)

    def _versions(self, environment: Environment) -> Mapping[str, str]:
        from prefect_uv.environments.build.verification import installed_versions  # noqa: PLC0415 (once a day)

        return installed_versions(environment.path)

    def _store(self, verdict: Verdict, environment: Environment, volume: CacheDirectory) -> None:
        """Store a verdict if there is a place; a read-only volume is none."""
        if not volume.read_only:
            with suppress(OSError), shared_umask():
                volume.prepare()
                verdict.write(volume, environment.key, self.policy)
