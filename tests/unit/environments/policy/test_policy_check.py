"""The policy at a start: worked out once for a key, read by warm starts, rechecked while flows run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.policy import policy_check
from prefect_uv.environments.policy.package_facts import FACTS
from prefect_uv.environments.policy.policy import Policy
from prefect_uv.environments.policy.verdict import Verdict, look_up_verdict, passes_by_a_stored_verdict
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import PolicyUnknownError, PolicyViolatedError
from prefect_uv.project import ExtraPackages, find_project
from tests.unit.etl import WHEEL, Etl, environments, sync, sync_at_once, unlocked
from tests.unit.http_server import Answer, Request, Server
from tests.unit.wheels import build_wheel

REFUSE = {"PREFECT_UV_POLICY": "refuse"}
WARN = {"PREFECT_UV_POLICY": "warn"}
AUDIT = {"PREFECT_UV_POLICY_AUDIT": "vulnerabilities", "UV_HTTP_RETRIES": "0"}
NO_RULES = {"PREFECT_UV_POLICY_LICENSES": "MIT", "PREFECT_UV_POLICY_EXEMPT": "prefect"}
HOOKED: list[list[tuple[str, str]]] = []
MakeStore = Callable[..., EnvironmentStore]


def watch_program(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what the program opens and imports, for each list in HOOKED."""
    if HOOKED and event in {"open", "import", "subprocess.Popen"}:
        HOOKED[-1].append((event, str(arguments[0])))


sys.addaudithook(watch_program)


@contextmanager
def watched() -> Iterator[list[tuple[str, str]]]:
    """What is opened, imported and started in this block."""
    HOOKED.append([])
    try:
        yield HOOKED[-1]
    finally:
        HOOKED.pop()


def report(server: Server, *advisories: str, package: str = "prefect") -> dict[str, str]:
    """Let the service know these advisories about a package; returns the variables with which it is asked."""

    def answer(request: Request) -> Answer:
        known = [{"id": name, "modified": "2026-01-01T00:00:00Z"} for name in advisories]
        names = [query["package"]["name"] for query in request.json["queries"]]
        return Answer(body={"results": [{"vulns": known} if name == package else {} for name in names]})

    server.on("POST /v1/querybatch", answer)
    for name in advisories:
        body = {"id": name, "summary": "Steals tokens", "modified": "2026-01-01T00:00:00Z", "affected": []}
        server.on(f"GET /v1/vulns/{name}", Answer(body=body))
    return {**AUDIT, "PREFECT_UV_POLICY_AUDIT_URL": server.url}


def verdicts(cache: Path) -> list[Path]:
    """The stored verdicts."""
    return sorted((cache / "policy" / "v1").glob("*"))


def grow_old(cache: Path, days: float = 2) -> None:
    """Let the stored verdicts be so old that the advisories are to be asked for again."""
    for path in verdicts(cache):
        value = json.loads(path.read_text())
        then = time.time() - days * 86400
        path.write_text(json.dumps({**value, "audited": value["audited"] and then, "attempted": then}))


def recheck(store: EnvironmentStore, environment: Environment) -> None:
    """What maintenance does in the background."""
    maintenance = store.maintenance(environment)
    assert maintenance.recheck
    maintenance.recheck()


RULES = {
    "index": ({"PREFECT_UV_POLICY_INDEXES": "https://packages.example.com"}, "prefect 3.8.8 is from the index file://"),
    "hash": ({"PREFECT_UV_POLICY_HASHES": "true"}, "prefect 3.8.8 is not pinned by a hash"),
    "license": ({"PREFECT_UV_POLICY_LICENSES": "MIT"}, "prefect 3.8.8 names no license"),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule_refuses_or_warns(etl: Etl, make_store: MakeStore, cache: Path, rule: str) -> None:
    """`refuse` stops the start with the rule, the package and its version; `warn` keeps the same for the log."""
    variables, expected = RULES[rule]
    with pytest.raises(PolicyViolatedError) as caught:
        sync(make_store(**REFUSE, **variables), etl)
    assert expected in caught.value.headline
    assert caught.value.found.startswith(f"{rule}: prefect 3.8.8")
    assert (environments(cache) == []) is (rule != "license")  # licenses are known when the package is there
    store = make_store(**WARN, **variables)
    sync(store, etl)
    assert store.policy_check
    assert store.policy_check.verdict
    assert expected in store.policy_check.verdict.summary
    assert sync(make_store(**REFUSE, **variables, PREFECT_UV_POLICY_EXEMPT="prefect"), etl).hit


def test_built_package(etl: Etl, make_store: MakeStore, cache: Path, tmp_path: Path) -> None:
    """A package without a wheel is refused before a build backend runs."""
    source = tmp_path / "sources" / "built-1.0"
    source.mkdir(parents=True)
    (source / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: built\nVersion: 1.0\n")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "built"\nversion = "1.0"\n'
    )
    (source / "backend.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    archive = etl.wheels / "built-1.0.tar.gz"
    subprocess.run(["tar", "czf", archive, "-C", source.parent, source.name], check=True, timeout=20)
    etl.write("prefect", "built")
    etl.lock()
    (tmp_path / "ran").unlink(missing_ok=True)
    with pytest.raises(PolicyViolatedError, match=r"built 1\.0 is built from source"):
        sync(make_store(**REFUSE, PREFECT_UV_POLICY_WHEELS="true"), etl)
    assert not (tmp_path / "ran").exists()
    assert environments(cache) == []


@pytest.mark.parametrize("audit", ["malware", "vulnerabilities"])
def test_advisories(etl: Etl, make_store: MakeStore, server: Server, cache: Path, audit: str) -> None:
    """Malware is refused before it is fetched, with package, version and advisory; vulnerabilities if they count."""
    variables = report(server, "MAL-2026-1", "GHSA-aaaa-bbbb-cccc") | {"PREFECT_UV_POLICY_AUDIT": audit}
    with pytest.raises(PolicyViolatedError) as caught:
        sync(make_store(**REFUSE, **variables), etl)
    assert "prefect 3.8.8 is malware: MAL-2026-1, Steals tokens" in caught.value.summary()
    assert environments(cache) == []
    accepted = {**variables, "PREFECT_UV_POLICY_ACCEPTED": "MAL-2026-1"}
    if audit == "malware":
        assert not sync(make_store(**REFUSE, **accepted), etl).hit
    else:
        with pytest.raises(PolicyViolatedError, match=r"prefect 3\.8\.8 is vulnerable: GHSA-aaaa-bbbb-cccc"):
            sync(make_store(**REFUSE, **accepted), etl)


def test_warm_start_opens_one_file_and_no_more(
    etl: Etl, make_store: MakeStore, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a policy, a warm start opens one file more than without one, imports no rules and starts no program."""
    variables = {**REFUSE, **NO_RULES, **report(server)}
    sync(make_store(**variables), etl)
    (path,) = verdicts(cache)
    monkeypatch.setattr(Uv, "run", None)
    sync(make_store(), etl)
    for name in [name for name in sys.modules if name.startswith("prefect_uv.environments.policy.")]:
        if name.rpartition(".")[2] not in {"policy", "verdict", "policy_check"}:
            monkeypatch.delitem(sys.modules, name)
    asked = len(server.requests)
    with watched() as without:
        sync(make_store(), etl)
    with watched() as with_policy:
        store = make_store(**variables)
        sync(store, etl)
    assert store.policy_check
    assert store.policy_check.verdict
    assert [item for item in with_policy if item not in without] == [("open", str(path))]
    assert len(server.requests) == asked


def test_known_since_the_last_check(
    etl: Etl, make_store: MakeStore, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once a day a run asks again, says what is new, and the next start is refused; nobody asks twice."""
    variables = {**REFUSE, **report(server)}
    store = make_store(**variables)
    environment = sync(store, etl)
    recheck(store, environment)
    assert len(server.to("POST", "/v1/querybatch")) == 1
    grow_old(cache)
    report(server, "MAL-2026-1")
    store = make_store(**variables)
    assert sync(store, etl).hit
    recheck(store, environment)
    recheck(store, environment)
    assert len(server.to("POST", "/v1/querybatch")) == 2
    assert "known since the last check, and the next start is refused: prefect 3.8.8 is malware: MAL-2026-1" in (
        capsys.readouterr().err
    )
    with pytest.raises(PolicyViolatedError, match="MAL-2026-1"):
        sync(make_store(**variables), etl)
    assert len(server.to("POST", "/v1/querybatch")) == 2
    store = make_store(**{**variables, **WARN})
    assert sync(store, etl).hit


def test_last_result_stands(
    etl: Etl, make_store: MakeStore, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If nobody answers, the last answer stands with a line in the log, and is not asked for again within an hour."""
    variables = {**REFUSE, **report(server)}
    sync(make_store(**variables), etl)
    grow_old(cache)
    server.on("POST /v1/querybatch", Answer(503))
    store = make_store(**variables)
    environment = sync(store, etl)
    before = len(server.requests)
    recheck(store, environment)
    asked = len(server.requests)
    assert asked > before
    recheck(store, environment)
    assert len(server.requests) == asked
    assert "policy: advisories cannot be asked for, those of 2" in capsys.readouterr().err
    assert sync(make_store(**variables), etl).hit


def test_nothing_is_known(
    etl: Etl, make_store: MakeStore, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`warn` starts with a line in the log, `refuse` does not start, until there is an answer."""
    variables = report(server)
    server.on("POST /v1/querybatch", Answer(503))
    with pytest.raises(PolicyUnknownError):
        sync(make_store(**REFUSE, **variables), etl)
    assert environments(cache) == []
    assert not sync(make_store(**WARN, **variables), etl).hit
    assert "policy: advisories cannot be asked for, none are known: " in capsys.readouterr().err
    with pytest.raises(PolicyUnknownError):
        sync(make_store(**REFUSE, **variables), etl)
    with pytest.raises(PolicyUnknownError):
        sync(make_store(**REFUSE, **variables, PREFECT_UV_OFFLINE="true"), etl)
    report(server)
    assert sync(make_store(**REFUSE, **variables), etl).hit
    asked = len(server.requests)
    assert sync(make_store(**REFUSE, **variables, PREFECT_UV_OFFLINE="true"), etl).hit
    assert len(server.requests) == asked


def test_environment_of_an_older_release(
    etl: Etl, make_store: MakeStore, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without facts in the environment, uv is asked once where its packages come from."""
    environment = sync(make_store(), etl)
    (environment.path / FACTS).unlink()
    allowed = {**REFUSE, "PREFECT_UV_POLICY_INDEXES": etl.wheels.as_uri(), "PREFECT_UV_POLICY_WHEELS": "true"}
    assert sync(make_store(**allowed), etl).hit
    with pytest.raises(PolicyViolatedError, match=r"prefect 3\.8\.8 is from the index file://"):
        sync(make_store(**{**allowed, "PREFECT_UV_POLICY_INDEXES": "https://packages.example.com"}), etl)
    assert len(verdicts(cache)) == 2
    monkeypatch.setattr(Uv, "run", None)
    assert sync(make_store(**allowed), etl).hit


def test_read_only_volume(etl: Etl, make_store: MakeStore, server: Server, cache: Path) -> None:
    """Nothing is written there: a stored verdict is read, and one that is missing is worked out each time."""
    variables = report(server)
    sync(make_store(), etl)
    for _ in range(2):
        assert sync(make_store(**REFUSE, **variables, PREFECT_UV_CACHE_READONLY="true"), etl).hit
    assert len(server.to("POST", "/v1/querybatch")) == 2
    assert verdicts(cache) == []
    sync(make_store(**REFUSE, **variables), etl)
    for _ in range(2):
        assert sync(make_store(**REFUSE, **variables, PREFECT_UV_CACHE_READONLY="true"), etl).hit
    assert len(server.to("POST", "/v1/querybatch")) == 3


def baked_elsewhere(environment: Environment, cache: Path, baked: Path) -> None:
    """Move all that a cache directory holds into an image."""
    shutil.copytree(cache, baked, symlinks=True)
    shutil.rmtree(cache)
    assert (baked / environment.path.relative_to(cache)).is_dir()


def test_baked_environment(etl: Etl, make_store: MakeStore, server: Server, cache: Path, tmp_path: Path) -> None:
    """The verdict of the bake is used, and one of a stricter policy is stored on the volume; a recheck, too."""
    variables = {**REFUSE, **report(server)}
    baked = tmp_path / "baked"
    baked_elsewhere(sync(make_store(**variables), etl), cache, baked)
    there = {**variables, "PREFECT_UV_BAKED_DIR": str(baked)}
    store = make_store(**there)
    environment = sync(store, etl)
    assert environment.path.is_relative_to(baked)
    assert len(server.to("POST", "/v1/querybatch")) == 1
    with pytest.raises(PolicyViolatedError, match="names no license"):
        sync(make_store(**there, PREFECT_UV_POLICY_LICENSES="MIT"), etl)
    assert len(verdicts(cache)) == 1
    grow_old(baked)
    report(server, "MAL-2026-1")
    recheck(store, environment)
    assert len(verdicts(cache)) == 2
    with pytest.raises(PolicyViolatedError, match="MAL-2026-1"):
        sync(make_store(**there), etl)


def test_exported_environment(etl: Etl, make_store: MakeStore, cache: Path, tmp_path: Path) -> None:
    """An environment takes its facts along: a policy can be applied where it is moved to, without uv and a network."""
    environment = sync(make_store(), etl)
    other = tmp_path / "other"
    shutil.copytree(environment.path, other / "envs" / "v1" / environment.key, symlinks=True)
    shutil.copytree(cache / "index", other / "index")
    shutil.rmtree(cache)
    moved = {**REFUSE, "PREFECT_UV_CACHE_DIR": str(other), "PREFECT_UV_POLICY_INDEXES": etl.wheels.as_uri()}
    assert sync(make_store(**moved, PREFECT_UV_OFFLINE="true"), etl).hit
    with pytest.raises(PolicyViolatedError, match="is from the index file://"):
        sync(make_store(**{**moved, "PREFECT_UV_POLICY_INDEXES": "https://packages.example.com"}), etl)


def test_several_starts_at_once(etl: Etl, make_store: MakeStore, server: Server, cache: Path) -> None:
    """All of them get a verdict, and one is stored, complete."""
    variables = {**REFUSE, **report(server)}
    found = sync_at_once(lambda: make_store(**variables), etl, 4)
    assert len({environment.key for environment in found}) == 1
    (path,) = verdicts(cache)
    assert json.loads(path.read_text())["audited"] > 0
    assert [item.name for item in (cache / "envs" / "tmp").iterdir()] == []


def test_verdict_of_a_stranger_is_not_used(etl: Etl, make_store: MakeStore, server: Server, cache: Path) -> None:
    """A link, or a file that is no verdict, is not believed: the verdict is worked out again."""
    variables = {**REFUSE, **report(server)}
    sync(make_store(**variables), etl)
    (path,) = verdicts(cache)
    good = path.read_text()
    for content in (
        "",
        "[]",
        "{}",
        '{"violations": 1}',
        "[" * 100_000,
        json.dumps({**json.loads(good), "audited": "x"}),
    ):
        path.write_text(content)
        assert sync(make_store(**variables), etl).hit
        assert json.loads(path.read_text())["audited"] > 0
    elsewhere = cache.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    asked = len(server.to("POST", "/v1/querybatch"))
    assert sync(make_store(**variables), etl).hit
    assert len(server.to("POST", "/v1/querybatch")) == asked + 1
    assert not path.is_symlink()
    path.write_text(json.dumps({**json.loads(good), "violations": [["index", "prefect", "3.8.8", "is planted"]]}))
    policy = Policy(audit="vulnerabilities", service=server.url)
    ours = make_store(**variables).volume.cache
    for trusted, expected in ((ours.trusted, 1), (frozenset({4321}), 0)):
        verdict = look_up_verdict([replace(ours, trusted=trusted)], path.name[:64], policy)
        assert len(verdict.all if verdict else ()) == expected


def test_extra_packages(etl: Etl, make_store: MakeStore) -> None:
    """The rules hold for extra packages, too, whose hashes are only what the index says today."""
    build_wheel(etl.wheels, "extra", "1.0", {"extra.py": ""})
    store = make_store(**REFUSE, PREFECT_UV_POLICY_HASHES="true", PREFECT_UV_POLICY_EXEMPT="prefect")
    project = find_project(etl.directory, None, store.settings)
    base = store.environment(project)
    with pytest.raises(PolicyViolatedError, match=r"extra 1\.0 is not pinned by a hash"):
        store.extend(base, ExtraPackages(requirements=("extra",)), project)


def test_early_engine_waits_for_the_verdict(etl: Etl, make_store: MakeStore, server: Server) -> None:
    """No Python of an environment is started early unless a stored verdict lets it pass."""
    variables = {**REFUSE, **report(server)}
    store = make_store()
    environment = sync(store, etl)
    strict = make_store(**variables)
    assert passes_by_a_stored_verdict(environment.path, store.settings, store.volume.cache)
    assert not passes_by_a_stored_verdict(environment.path, strict.settings, strict.volume.cache)
    sync(strict, etl)
    assert passes_by_a_stored_verdict(environment.path, strict.settings, strict.volume.cache)


def test_verdict_is_due_once_a_day() -> None:
    """A day after an answer, and an hour after an attempt."""
    policy, now = Policy(audit="malware"), time.time()
    assert Verdict().is_due(policy)
    assert not Verdict().is_due(Policy())
    assert not Verdict(audited=now - 3600 * 23).is_due(policy)
    assert Verdict(audited=now - 3600 * 25, attempted=now - 3600 * 25).is_due(policy)
    assert not replace(Verdict(audited=now - 3600 * 25), attempted=now - 60).is_due(policy)
    assert policy_check.RECHECK_SECONDS < 30


def test_index_of_a_lock(etl: Etl, make_store: MakeStore, server: Server) -> None:
    """The addresses in the lock count: a mirror that only the container knows is not used, and not judged."""
    etl.move_to(server)
    mirror = {"UV_DEFAULT_INDEX": "https://mirror.example.com/simple", "PREFECT_UV_LOCK": "frozen"}
    allowed = {**REFUSE, "PREFECT_UV_POLICY_INDEXES": server.url, "PREFECT_UV_POLICY_HASHES": "true"}
    with pytest.raises(PolicyViolatedError, match="is from the index http://127"):
        sync(make_store(**{**allowed, "PREFECT_UV_POLICY_INDEXES": mirror["UV_DEFAULT_INDEX"]}, **mirror), etl)
    assert not sync(make_store(**allowed, **mirror), etl).hit


def test_index_of_requirements(etl: Etl, make_store: MakeStore, server: Server, tmp_path: Path) -> None:
    """Without a lock, the files of the index that uv was given count; its hashes pin nothing, those of a file do."""
    etl.move_to(server)
    file = tmp_path / "requirements.txt"
    file.write_text("prefect\n")
    given = {"PIP_INDEX_URL": f"{server.url}/"}
    allowed = {**REFUSE, "PREFECT_UV_POLICY_INDEXES": server.url, **given}
    with pytest.raises(PolicyViolatedError, match=r"is from http://127\.0\.0\.1:\d+/api/prefect/prefect-3\.8\.8"):
        make_store(**REFUSE, PREFECT_UV_POLICY_INDEXES="https://packages.example.com", **given).environment(
            unlocked(files=[file])
        )
    assert not make_store(**allowed).environment(unlocked(files=[file])).hit
    with pytest.raises(PolicyViolatedError, match=r"prefect 3\.8\.8 is not pinned by a hash"):
        make_store(**allowed, PREFECT_UV_POLICY_HASHES="true").environment(unlocked(files=[file]))
    digest = hashlib.sha256((etl.wheels / WHEEL).read_bytes()).hexdigest()
    file.write_text(f"prefect==3.8.8 --hash=sha256:{digest}\n")
    assert make_store(**allowed, PREFECT_UV_POLICY_HASHES="true").environment(unlocked(files=[file])).hit


def test_old_verdicts_are_garbage(cache_directory: CacheDirectory, collect: Callable[..., int]) -> None:
    """One that was not written for a month is removed, and a start works it out again."""
    policy = Policy()
    for key in ("0" * 64, "1" * 64):
        Verdict().write(cache_directory, key, policy)
    old = cache_directory.verdicts / f"{'0' * 64}-{policy.digest}"
    os.utime(old, (1_000_000_000, 1_000_000_000))
    collect()
    assert [path.name[0] for path in cache_directory.verdicts.iterdir()] == ["1"]
