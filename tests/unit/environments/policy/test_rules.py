"""The rules about packages, one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.environments.plan.origins import ADDRESS, INDEX, REPOSITORY, PackageOrigin, locked_origins
from prefect_uv.environments.policy.licenses import has_allowed_license
from prefect_uv.environments.policy.package_facts import PackageFacts, installed_facts, planned_facts
from prefect_uv.environments.policy.policy import Policy
from prefect_uv.environments.policy.rules import find_violations

INDEX_URL = "https://packages.example.com/good/simple"
GOOD = PackageOrigin(INDEX, INDEX_URL, ("https://packages.example.com",), hashed=True, wheels=("a-1-py3-none-any.whl",))
ALLOWED = ("https://packages.example.com/good", "https://git.example.com/team")
LOCK = """version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "a"
version = "1"
source = { registry = "https://token@packages.example.com/good/simple" }
sdist = { url = "https://files.example.com/a-1.tar.gz", hash = "sha256:00" }
wheels = [{ url = "https://files.example.com/a-1-py3-none-any.whl", hash = "sha256:00" }]

[[package]]
name = "a"
version = "2"
source = { registry = "https://other.example.com/simple" }

[[package]]
name = "b"
version = "1"
source = { git = "https://git.example.com/team/b?rev=main#0123456789012345678901234567890123456789" }

[[package]]
name = "c"
version = "1"
source = { url = "https://files.example.com/c-1-py3-none-any.whl" }
wheels = [{ url = "https://files.example.com/c-1-py3-none-any.whl", hash = "sha256:00" }]

[[package]]
name = "d"
version = "1"
source = { registry = "../wheels" }
wheels = [{ path = "d-1-py3-none-any.whl" }]
"""


def violations(policy: Policy, facts: PackageFacts, *, installed: bool = True) -> list[str]:
    """What is wrong with a package `a`."""
    return [f"{one.rule}: {one}" for one in find_violations(policy, {"a": facts}, installed=installed)]


def test_origins_of_a_lock(tmp_path: Path) -> None:
    """Indexes, repositories, addresses and directories are read from the lock, without credentials."""
    lock = tmp_path / "project" / "uv.lock"
    lock.parent.mkdir()
    lock.write_text(LOCK)
    found = locked_origins(lock, {"a": "1", "b": "1", "c": "1", "d": "1"}, None)
    hosts = ("https://files.example.com",)
    assert found == {
        "a": (PackageOrigin(INDEX, INDEX_URL, hosts, hashed=True, wheels=("a-1-py3-none-any.whl",)),),
        "b": (PackageOrigin(REPOSITORY, "https://git.example.com/team/b", hashed=True),),
        "c": (
            PackageOrigin(
                ADDRESS,
                "https://files.example.com/c-1-py3-none-any.whl",
                hosts,
                hashed=True,
                wheels=("c-1-py3-none-any.whl",),
            ),
        ),
        "d": (PackageOrigin(INDEX, f"file://{tmp_path}/wheels", wheels=("d-1-py3-none-any.whl",)),),
    }
    from_wheels = locked_origins(lock, {"a": "1"}, tmp_path / "wheels")["a"][0]
    assert (from_wheels.address, from_wheels.hosts, from_wheels.hashed) == (f"file://{tmp_path}/wheels", (), True)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (GOOD, []),
        (PackageOrigin(REPOSITORY, "https://git.example.com/team/a", hashed=True), []),
        (
            PackageOrigin(INDEX, "https://packages.example.com/bad/simple"),
            ["index: a 1 is from the index https://packages.example.com/bad/simple, which is not allowed"],
        ),
        (
            PackageOrigin(INDEX, "https://packages.example.com/goodness"),
            ["index: a 1 is from the index https://packages.example.com/goodness, which is not allowed"],
        ),
        (
            PackageOrigin(INDEX, "https://packages.example.com/good/%2e%2e/bad"),
            ["index: a 1 is from the index https://packages.example.com/good/%2e%2e/bad, which is not allowed"],
        ),
        (
            PackageOrigin(INDEX, INDEX_URL, ("https://evil.example.com",)),
            ["index: a 1 has files on https://evil.example.com, which is not allowed"],
        ),
        (
            PackageOrigin(REPOSITORY, "https://git.example.com/others/a"),
            ["index: a 1 is from the repository https://git.example.com/others/a, which is not allowed"],
        ),
        (
            PackageOrigin(ADDRESS, "http://packages.example.com/good/a-1-py3-none-any.whl"),
            ["index: a 1 is from http://packages.example.com/good/a-1-py3-none-any.whl, which is not allowed"],
        ),
    ],
)
def test_allowed_indexes(origin: PackageOrigin, expected: list[str]) -> None:
    """An address must be below an allowed one, step by step; so must files on another host than the index."""
    assert violations(Policy(indexes=ALLOWED), PackageFacts("1", (origin,))) == expected


def test_files_on_another_host_have_an_entry_of_their_own() -> None:
    """As with an index that keeps its files elsewhere."""
    origin = PackageOrigin(INDEX, INDEX_URL, ("https://files.example.com",))
    policy = Policy(indexes=(*ALLOWED, "https://files.example.com"))
    assert violations(policy, PackageFacts("1", (origin,))) == []


def test_each_origin_must_be_allowed() -> None:
    """A package that a lock has from two indexes is from a place that is not allowed if one of them is not."""
    facts = PackageFacts("1", (GOOD, PackageOrigin(INDEX, "https://other.example.com")))
    assert len(violations(Policy(indexes=ALLOWED), facts)) == 1


def test_unknown_origin_is_named() -> None:
    """A package of which nothing is known is not allowed."""
    expected = ["unknown: a 1 is from a place that is not known"]
    assert violations(Policy(indexes=ALLOWED), PackageFacts("1")) == expected
    assert violations(Policy(hashes=True), PackageFacts("1")) == expected


def test_hashes() -> None:
    """A package without a hash is named, and exempt ones are not."""
    facts = PackageFacts("1", (PackageOrigin(INDEX, INDEX_URL),))
    assert violations(Policy(hashes=True), facts) == ["hash: a 1 is not pinned by a hash"]
    assert violations(Policy(hashes=True, exempt=("a",)), facts) == []
    assert violations(Policy(hashes=True), PackageFacts("1", (GOOD,))) == []


def test_builds(tmp_path: Path) -> None:
    """Built is what has no wheel, and what says in its WHEEL that it is none of the wheels."""
    policy = Policy(wheels=True)
    only_source = {"a": (PackageOrigin(INDEX, INDEX_URL),)}
    assert find_violations(policy, planned_facts({"a": "1"}, only_source), installed=False)[0].rule == "build"
    assert find_violations(policy, planned_facts({"a": "1"}, {"a": (GOOD,)}), installed=False) == ()
    site = tmp_path / "lib" / "python3.13" / "site-packages" / "a-1.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Name: a\nVersion: 1\n")
    for tag, built in (("py3-none-any", False), ("cp313-cp313-linux_x86_64", True)):
        (site / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
        assert installed_facts(tmp_path, {"a": (GOOD,)}, {})["a"].built is built
    assert violations(policy, PackageFacts("1", built=True)) == ["build: a 1 is built from source"]


@pytest.mark.parametrize(
    ("expression", "licenses", "allowed", "expected"),
    [
        ("MIT", (), ("MIT",), True),
        ("mit", (), ("MIT",), True),
        ("GPL-3.0-only", (), ("MIT",), False),
        ("GPL-3.0-only OR MIT", (), ("MIT",), True),
        ("GPL-3.0-only AND MIT", (), ("MIT",), False),
        ("MIT AND (GPL-2.0-only OR Apache-2.0)", (), ("MIT", "Apache-2.0"), True),
        ("Apache-2.0 WITH LLVM-exception", (), ("Apache-2.0",), True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", (), ("GPL-2.0-only WITH *",), True),
        ("((((", (), ("MIT",), False),
        ("(" * 100_000, (), ("MIT",), False),
        ("", ("MIT License",), ("MIT",), True),
        ("", ("MIT License", "GNU General Public License v3 (GPLv3)"), ("MIT",), False),
        ("", ("BSD License",), ("BSD*",), True),
        ("", ("MIT OR GPL-3.0",), ("MIT",), True),
        ("", ("LGPL-2.1",), ("LGPL-*",), True),
        ("", (), ("*",), False),
    ],
)
def test_licenses(expression: str, licenses: tuple[str, ...], allowed: tuple[str, ...], expected: bool) -> None:  # noqa: FBT001
    """Expressions are evaluated, classifiers must all be allowed, and a package without a license is not."""
    facts = PackageFacts("1", expression=expression, licenses=licenses)
    assert has_allowed_license(facts, allowed) is expected


def test_license_in_metadata(tmp_path: Path) -> None:
    """The expression, the classifiers, or the field `License`, in this order; a long text is shortened."""
    site = tmp_path / "lib" / "python3.13" / "site-packages" / "a-1.dist-info"
    site.mkdir(parents=True)
    policy, long = Policy(licenses=("MIT",)), "Permission is hereby granted, " * 20
    for text, expected in (
        ("License-Expression: MIT\nClassifier: License :: Other\n", []),
        ("License: GPL\nClassifier: License :: OSI Approved :: MIT License\n", []),
        ("Classifier: License :: OSI Approved\nLicense: MIT\n", []),
        ("License: GPL\n", ["license: a 1 has the license 'GPL', which is not allowed"]),
        ("", ["license: a 1 names no license"]),
        (f"License: {long}\n", [f"license: a 1 has the license {long[:80]!r}, which is not allowed"]),
    ):
        (site / "METADATA").write_text(f"Name: a\nVersion: 1\n{text}\nLicense: MIT is only mentioned here\n")
        facts = installed_facts(tmp_path, {}, {})["a"]
        assert violations(policy, facts) == expected
        assert violations(policy, facts, installed=False) == []


def test_digest_names_the_rules() -> None:
    """Each rule changes it, and the order of a list does not."""
    policies = [
        Policy(),
        Policy(indexes=ALLOWED),
        Policy(hashes=True),
        Policy(wheels=True),
        Policy(licenses=("MIT",)),
        Policy(audit="malware"),
        Policy(audit="vulnerabilities"),
        Policy(accepted=("CVE-2026-1",)),
        Policy(exempt=("a",)),
        Policy(service="https://osv.example.com"),
    ]
    assert len({policy.digest for policy in policies}) == len(policies)
    assert Policy(indexes=ALLOWED).digest == Policy(indexes=ALLOWED[::-1]).digest
