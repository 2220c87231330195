"""Known vulnerabilities of an image's packages, asked from OSV.

https://google.github.io/osv.dev/api/ has the advisories of PyPI's packages and of Debian's security tracker. What is
accepted for a time stands, with the reason, in `images/accepted-vulnerabilities.toml`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
from cvss import CVSS2, CVSS3, CVSS4, CVSSError

from images.family import ROOT
from images.process import ToolError
from images.release.contents import Contents

ACCEPTED = ROOT / "images/accepted-vulnerabilities.toml"
BATCH = 500
HIGH, HIGH_SCORE = {"HIGH", "CRITICAL"}, 7.0
METRICS = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Vulnerability:
    """A known vulnerability of a package.

    Attributes:
        package: the package's name and version, as the advisory's database names it.
        id: the identifier in OSV, such as `GHSA-…`.
        aliases: its other identifiers, such as `CVE-…`.
        is_high: whether its severity is high or critical (a CVSS score of at least 7.0).
        summary: one line; may be empty.
    """

    package: str
    id: str
    aliases: tuple[str, ...]
    is_high: bool
    summary: str

    def __str__(self) -> str:
        names = ", ".join([self.id, *self.aliases])
        return f"{'high' if self.is_high else 'not high'}: {self.package}: {names}: {self.summary}"


def find_vulnerabilities(images: Iterable[Contents], service: str) -> list[Vulnerability]:
    """Ask OSV about all packages of these images.

    Raises:
        ToolError: OSV could not be asked.
    """
    queries = {json.dumps(query, sort_keys=True): query for contents in images for query in _queries(contents)}
    waiting, found = list(queries.values()), []
    while waiting:
        batch, waiting = waiting[:BATCH], waiting[BATCH:]
        answers = _ask(f"{service}/v1/querybatch", {"queries": batch})["results"]
        for query, answer in zip(batch, answers, strict=True):
            package = f"{query['package']['name']} {query['version']}"
            identifiers = [one["id"] for one in answer.get("vulns", [])]
            found += [_vulnerability(package, _ask(f"{service}/v1/vulns/{one}")) for one in identifiers]
            if token := answer.get("next_page_token"):
                waiting.append(query | {"page_token": token})
    return sorted(found, key=lambda one: (not one.is_high, one.package, one.id))


def blocking(found: Sequence[Vulnerability], today: date, file: Path = ACCEPTED) -> list[Vulnerability]:
    """Those that no release may have: high ones, except those that are accepted until a day that is not over.

    Raises:
        ToolError: the file of accepted vulnerabilities lacks a reason or a day.
    """
    accepted = set(_accepted(file, today))
    return [one for one in found if one.is_high and accepted.isdisjoint({one.id, *one.aliases})]


def _accepted(file: Path, today: date) -> Iterator[str]:
    for name, entry in tomllib.loads(file.read_text()).items():
        if not (isinstance(entry, dict) and entry.get("reason") and isinstance(entry.get("until"), date)):
            raise ToolError(f"{file.name}: {name} needs a reason, and until = a date")
        if today <= entry["until"]:
            yield name


def _queries(contents: Contents) -> Iterator[dict[str, Any]]:
    for package in contents.debian:
        ecosystem = f"Debian:{contents.debian_release}"
        yield _query(ecosystem, package.source, package.source_version)
    for package in contents.python:
        yield _query("PyPI", package.name, package.version)


def _query(ecosystem: str, name: str, version: str) -> dict[str, Any]:
    return {"package": {"ecosystem": ecosystem, "name": name}, "version": version}


def _vulnerability(package: str, advisory: Mapping[str, Any]) -> Vulnerability:
    return Vulnerability(
        package=package,
        id=advisory["id"],
        aliases=tuple(advisory.get("aliases", [])),
        is_high=_is_high(advisory),
        summary=advisory.get("summary", ""),
    )


def _is_high(advisory: Mapping[str, Any]) -> bool:
    """By the database's own word, or by the scores of its vectors."""
    said = str(advisory.get("database_specific", {}).get("severity", "")).upper()
    return said in HIGH or any(_score(severity) >= HIGH_SCORE for severity in advisory.get("severity", []))


def _score(severity: Mapping[str, str]) -> float:
    metric = METRICS.get(severity["type"])
    try:
        return float(metric(severity["score"]).base_score) if metric else 0.0
    except CVSSError:
        return 0.0


def _ask(address: str, question: Mapping[str, Any] | None = None) -> dict[str, Any]:
    try:
        response = urllib3.request("POST" if question else "GET", address, json=question, timeout=TIMEOUT_SECONDS)
        if response.status != HTTPStatus.OK:
            raise ToolError(f"OSV answered {response.status} ({address})")
        answer: dict[str, Any] = response.json()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise ToolError(f"OSV could not be asked for vulnerabilities ({address}): {error}") from error
    return answer
