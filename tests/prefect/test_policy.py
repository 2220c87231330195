"""A policy in real containers: a package that becomes known as malware while flows run stops the next run."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.stack import CacheVolume, Repository, Stack, git_clone
from tests.stack.environment import job_volumes
from tests.stack.http import Handler, serve

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

VERDICTS = "/cache/policy/v1/*"
TWO_DAYS_AGO = f'sed -i -E \'s/"(audited|attempted)": [0-9.]+/"\\1": 1000000000.0/g\' {VERDICTS}'


class OsvHandler(Handler):
    """Answers as OSV does: nobody knows anything, except about the packages in `malware`."""

    malware: set[str]
    questions: list[int]

    def do_POST(self) -> None:
        """Answer a batch of questions."""
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        self.questions.append(len(queries))
        known = {"vulns": [{"id": "MAL-2026-1", "modified": "2026-01-01T00:00:00Z"}]}
        results = [known if query["package"]["name"] in self.malware else {} for query in queries]
        self.answer(json.dumps({"results": results}).encode(), "application/json")

    def do_GET(self) -> None:
        """Answer with the only advisory."""
        advisory = {"id": "MAL-2026-1", "summary": "Steals tokens", "modified": "2026-01-01T00:00:00Z", "affected": []}
        self.answer(json.dumps(advisory).encode(), "application/json")


@pytest.fixture
def osv(stack: Stack) -> Iterator[tuple[type[OsvHandler], str]]:
    """The service, and its URL."""
    handler = type("OneOsvHandler", (OsvHandler,), {"malware": set(), "questions": []})
    with serve(stack.containers.gateway, handler) as address:
        yield handler, f"http://{address}"


def test_package_that_becomes_known_as_malware(
    stack: Stack, plain: Repository, cache: CacheVolume, osv: tuple[type[OsvHandler], str]
) -> None:
    """The first run is allowed, the second asks again because a day has passed, and the third is refused."""
    service, url = osv
    policy = {
        "PREFECT_UV_POLICY": "refuse",
        "PREFECT_UV_POLICY_HASHES": "true",
        "PREFECT_UV_POLICY_WHEELS": "true",
        "PREFECT_UV_POLICY_LICENSES": "*",
        "PREFECT_UV_POLICY_AUDIT": "malware",
        "PREFECT_UV_POLICY_AUDIT_URL": url,
    }
    volumes = job_volumes(cache.name)
    deployment = stack.deploy("policy", "flows.py:hello", [git_clone(plain.url)], volumes=volumes)
    first = stack.run_and_wait(deployment, environment=policy)
    assert first.state.name == "Completed", first.report()
    assert [count > 10 for count in service.questions] == [True]
    service.malware.add("prefect")
    cache.run("sh", "-c", TWO_DAYS_AGO)
    second = stack.run_and_wait(deployment, environment=policy, expected=["known since the last check"])
    assert second.state.name == "Completed", second.report()
    assert len(service.questions) == 2
    third = stack.run_and_wait(deployment, environment=policy, expected=["policy-violated"])
    assert third.state.name == "Crashed", third.report()
    assert "error[policy-violated]: The policy does not allow: prefect " in str(third.state.message)
    assert "is malware: MAL-2026-1, Steals tokens" in str(third.state.message)
    assert third.outcome.exit_code == 76, third.report()
    assert len(service.questions) == 2
