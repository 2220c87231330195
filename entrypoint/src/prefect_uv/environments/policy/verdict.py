"""Verdicts: what a policy says about an environment, in a small file by their names.

<cache>/policy/v1/<key>-<digest of the policy>: a Verdict as JSON, if a trusted user wrote it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from prefect_uv.cache_volume.cache_directory import DAY_SECONDS, CacheDirectory
from prefect_uv.environments.policy.policy import Policy
from prefect_uv.settings import Settings

SHOWN_VIOLATIONS = 3
KEY_DIGITS = 64
ATTEMPT_SECONDS = 3600.0
HASH = "hash"
"""The rule about hashes."""


class Violation(NamedTuple):
    """A package that a rule does not allow; the text follows its name and version, and has no full stop."""

    rule: str
    package: str
    version: str
    text: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.package, self.version, self.text)))


@dataclass(frozen=True)
class Verdict:
    """What a policy says about an environment.

    Attributes:
        violations: by the rules about the packages themselves, which never change for a key.
        advisories: by the last answer about malware and vulnerabilities.
        audited: when that was, in seconds since the epoch; 0 if there never was an answer.
        attempted: when somebody last asked.
    """

    violations: tuple[Violation, ...] = ()
    advisories: tuple[Violation, ...] = ()
    audited: float = 0.0
    attempted: float = field(default=0.0, compare=False)

    @property
    def all(self) -> tuple[Violation, ...]:
        """Everything that is wrong; what is known about malware and vulnerabilities comes first."""
        return (*self.advisories, *self.violations)

    @property
    def summary(self) -> str:
        """The first few violations, and how many more there are."""
        more = len(self.all) - SHOWN_VIOLATIONS
        return "; ".join(map(str, self.all[:SHOWN_VIOLATIONS])) + (f"; and {more} more" if more > 0 else "")

    def passes(self, policy: Policy) -> bool:
        """Whether a policy that refuses lets a flow run: nothing is wrong, and the advisories are known."""
        return not self.all and bool(self.audited or not policy.audits)

    def is_due(self, policy: Policy) -> bool:
        """Whether the advisories are to be asked for again: a day after the answer, an hour after a failure."""
        now = time.time()
        return policy.audits and now - self.audited >= DAY_SECONDS and now - self.attempted >= ATTEMPT_SECONDS

    def as_facts(self, policy: Policy, mode: str) -> dict[str, object]:
        """The field `policy` of a record."""
        asked = datetime.fromtimestamp(self.audited, UTC).isoformat(timespec="seconds") if self.audited else None
        texts = [violation._asdict() for violation in self.all]
        return {"mode": mode, "digest": policy.digest, "audited": asked, "violations": texts}

    def write(self, cache: CacheDirectory, key: str, policy: Policy) -> None:
        """Store it for the next start, in a directory that is prepared.

        Raises:
            OSError: that is not possible there.
        """
        cache.make_directory(cache.verdicts)
        cache.write(_verdict_path(cache, key, policy), json.dumps(asdict(self)))


def look_up_verdict(caches: Iterable[CacheDirectory], key: str, policy: Policy) -> Verdict | None:
    """The stored verdict, the one with the latest answer if there are several; None if there is none."""
    found = filter(None, (_stored_verdict(cache, key, policy) for cache in caches))
    return max(found, key=lambda verdict: verdict.audited, default=None)


def passes_by_a_stored_verdict(environment: Path, settings: Settings, cache: CacheDirectory) -> bool:
    """Whether a program of an environment may be started before the start itself looks at the policy."""
    policy = Policy.of(settings)
    if policy is None or settings.policy != "refuse":
        return True
    verdict = stored_verdict(environment, settings, cache, policy)
    return verdict is not None and verdict.passes(policy)


def stored_verdict(environment: Path, settings: Settings, cache: CacheDirectory, policy: Policy) -> Verdict | None:
    """What is known about an environment that is there; None if the next start works it out."""
    baked = CacheDirectory(settings.baked_dir, range(2**32), settings.baked_dir, read_only=True)
    return look_up_verdict(places_of(environment, cache, baked), environment.name[:KEY_DIGITS], policy)


def places_of(environment: Path, volume: CacheDirectory, baked: CacheDirectory) -> list[CacheDirectory]:
    """Where verdicts about an environment are: on the volume, and in the image if it is baked."""
    return [volume, *([baked] if environment.is_relative_to(baked.root) else ())]


def now_attempted(verdict: Verdict) -> Verdict:
    """The verdict, with a note that somebody asks for the advisories now."""
    return replace(verdict, attempted=time.time())


def _verdict_path(cache: CacheDirectory, key: str, policy: Policy) -> Path:
    return cache.verdicts / f"{key}-{policy.digest}"


def _stored_verdict(cache: CacheDirectory, key: str, policy: Policy) -> Verdict | None:
    path = _verdict_path(cache, key, policy)
    try:
        value = json.loads(path.read_bytes())
        lists = {name: tuple(Violation(*item) for item in value.pop(name)) for name in ("violations", "advisories")}
        verdict = Verdict(**lists, audited=float(value["audited"]), attempted=float(value["attempted"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return verdict if cache.trusts(path) else None
