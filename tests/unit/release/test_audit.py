"""Known vulnerabilities: what stops a release, what is accepted for a time, and what is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from images.process import ToolError
from images.release.audit import ACCEPTED, blocking, find_vulnerabilities
from images.release.contents import Contents, Package
from tests.stack.http import Handler, serve

TODAY = date(2026, 11, 27)
ADVISORIES: dict[str, dict[str, Any]] = {
    "GHSA-high": {"database_specific": {"severity": "HIGH"}, "aliases": ["CVE-2026-1"], "summary": "bad"},
    "PYSEC-score": {"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]},
    "DEBIAN-low": {"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"}]},
    "GHSA-strange": {"severity": [{"type": "CVSS_V9", "score": "?"}, {"type": "CVSS_V4", "score": "?"}]},
}
KNOWN = {
    ("PyPI", "packaging", "1.0"): ["GHSA-high", "GHSA-strange"],
    ("PyPI", "uv", "0.13.9"): ["PYSEC-score"],
    ("Debian:13", "glibc", "2.41-12"): ["DEBIAN-low"],
}
CONTENTS = Contents(
    {},
    "13",
    [Package("libc6", "2.41-12+b1", source="glibc", source_version="2.41-12", architecture="amd64")],
    [Package("packaging", "1.0"), Package("uv", "0.13.9"), Package("harmless", "1.0")],
)


class Osv(Handler):
    """OSV as far as we ask it: https://google.github.io/osv.dev/api/."""

    asked: list[Any]

    def do_POST(self) -> None:
        """Answer with the identifiers of what is known about each package, in the order of the queries."""
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        self.asked.extend(queries)
        keys = [(one["package"]["ecosystem"], one["package"]["name"], one["version"]) for one in queries]
        pages = [int(one.get("page_token", 0)) for one in queries]
        results = [self._page(KNOWN.get(key, []), page) for key, page in zip(keys, pages, strict=True)]
        self.answer(json.dumps({"results": results}).encode(), "application/json")

    @staticmethod
    def _page(names: list[str], page: int) -> dict[str, Any]:
        """One identifier, and what to ask for the next one with."""
        more = {"next_page_token": str(page + 1)} if page + 1 < len(names) else {}
        return {"vulns": [{"id": names[page]}], **more} if names else {}

    def do_GET(self) -> None:
        """Answer with an advisory."""
        name = self.path.rpartition("/")[2]
        self.answer(json.dumps({"id": name, **ADVISORIES[name]}).encode(), "application/json")


@pytest.fixture
def osv() -> Iterator[str]:
    """The address of a service that knows KNOWN."""
    Osv.asked = []
    with serve("127.0.0.1", Osv) as address:
        yield f"http://{address}"


def accepting(folder: Path, text: str) -> Path:
    """A file of accepted vulnerabilities."""
    file = folder / "accepted.toml"
    file.write_text(text)
    return file


def test_high_ones_stop_a_release(osv: str, tmp_path: Path) -> None:
    """A severity is high by the database's word or by a score; others, and unreadable scores, are only reported."""
    found = find_vulnerabilities([CONTENTS, CONTENTS], osv)
    assert [(one.id, one.is_high) for one in found] == [
        ("GHSA-high", True),
        ("PYSEC-score", True),
        ("DEBIAN-low", False),
        ("GHSA-strange", False),
    ]
    assert str(found[0]) == "high: packaging 1.0: GHSA-high, CVE-2026-1: bad"
    assert blocking(found, TODAY, accepting(tmp_path, "")) == found[:2]


def test_debian_is_asked_for_its_source_package(osv: str) -> None:
    """Debian's advisories are about source packages and their versions; each package is asked for once."""
    find_vulnerabilities([CONTENTS, CONTENTS], osv)
    assert {"package": {"ecosystem": "Debian:13", "name": "glibc"}, "version": "2.41-12"} in Osv.asked
    assert len([query for query in Osv.asked if "page_token" not in query]) == 4


def test_accepted_until_its_day_is_over(osv: str, tmp_path: Path) -> None:
    """A vulnerability is accepted by any of its identifiers, on its last day still, and then no more."""
    found = find_vulnerabilities([CONTENTS], osv)
    entries = '["{}"]\nreason = "not used"\nuntil = {}\n'
    file = accepting(tmp_path, entries.format("CVE-2026-1", TODAY) + entries.format("PYSEC-score", "2026-11-26"))
    assert [one.id for one in blocking(found, TODAY, file)] == ["PYSEC-score"]


@pytest.mark.parametrize("entry", ['["X"]\nuntil = 2026-11-27', '["X"]\nreason = "r"', 'X = "r"'])
def test_accepting_needs_a_reason_and_a_day(tmp_path: Path, entry: str) -> None:
    """Nothing is accepted for ever, or without saying why."""
    with pytest.raises(ToolError, match="X needs a reason, and until = a date"):
        blocking([], TODAY, accepting(tmp_path, entry))


def test_repositorys_own_file_is_valid() -> None:
    """The file that releases use can be read."""
    assert blocking([], TODAY, ACCEPTED) == []


def test_service_that_does_not_answer_is_an_error() -> None:
    """Not to know is not to be safe."""
    with pytest.raises(ToolError, match="OSV could not be asked"):
        find_vulnerabilities([CONTENTS], "http://127.0.0.1:9")
