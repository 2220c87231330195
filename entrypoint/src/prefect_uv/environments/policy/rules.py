"""The rules about packages themselves: what they say never changes for an environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from urllib.parse import unquote, urlsplit

from prefect_uv.environments.plan.origins import INDEX, REPOSITORY, PackageOrigin
from prefect_uv.environments.policy.licenses import has_allowed_license, license_text
from prefect_uv.environments.policy.package_facts import PackageFacts
from prefect_uv.environments.policy.policy import Policy
from prefect_uv.environments.policy.verdict import HASH, Violation


def find_violations(policy: Policy, facts: Mapping[str, PackageFacts], *, installed: bool) -> tuple[Violation, ...]:
    """What is wrong with packages.

    Args:
        policy: the rules.
        facts: the packages.
        installed: they are installed, so their licenses are known.
    """
    judged = ((name, item) for name, item in sorted(facts.items()) if name not in policy.exempt)
    return tuple(
        Violation(rule, name, item.version, text)
        for name, item in judged
        for rule, text in _about(policy, item, installed=installed)
    )


def _about(policy: Policy, facts: PackageFacts, *, installed: bool) -> Iterator[tuple[str, str]]:
    if (policy.indexes or policy.hashes) and not facts.origins:
        yield "unknown", "is from a place that is not known"
    if policy.indexes:
        yield from (("index", text) for text in islice(_places(policy.indexes, facts.origins), 1))
    if policy.hashes and not all(origin.hashed for origin in facts.origins):
        yield HASH, "is not pinned by a hash"
    if policy.wheels and facts.built is not False:
        yield "build", "is built from source" if facts.built else "may have been built from source"
    if policy.licenses and installed and not has_allowed_license(facts, policy.licenses):
        text = license_text(facts)
        yield "license", f"has the license {text!r}, which is not allowed" if text else "names no license"


def _places(allowed: Sequence[str], origins: Sequence[PackageOrigin]) -> Iterator[str]:
    """Yield a phrase for each place of a package that is not allowed.

    The files of an index may be on its own host; those on another host need an entry of their own.
    """
    for origin in origins:
        what = {INDEX: "the index ", REPOSITORY: "the repository "}.get(origin.kind, "")
        if not _is_below(origin.address, allowed):
            yield f"is from {what}{origin.address}, which is not allowed"
        elif origin.kind == INDEX:
            own, others = urlsplit(origin.address), [host for host in origin.hosts if not _is_host(host, allowed)]
            if other := next((host for host in others if host != f"{own.scheme}://{own.netloc}"), None):
                yield f"has files on {other}, which is not allowed"


def _is_below(address: str, allowed: Sequence[str]) -> bool:
    """Whether an address is one of these or below it, as a path, and not only as a text."""
    parts = urlsplit(address)
    steps = _steps(parts.path)
    if ".." in steps:
        return False
    for entry in map(urlsplit, allowed):
        start = _steps(entry.path)
        same = (entry.scheme.lower(), entry.netloc.lower()) == (parts.scheme.lower(), parts.netloc.lower())
        if same and steps[: len(start)] == start:
            return True
    return False


def _is_host(host: str, allowed: Sequence[str]) -> bool:
    """Whether an entry names a host; the files below it are then allowed."""
    return host.lower() in {f"{entry.scheme}://{entry.netloc}".lower() for entry in map(urlsplit, allowed)}


def _steps(path: str) -> list[str]:
    return [step for step in unquote(path).split("/") if step]
