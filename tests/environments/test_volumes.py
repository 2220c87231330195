"""Volumes that are not what they should be: each works with a warning, or stops with an error that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from docker.types import Mount

from images import family
from tests.environments.conftest import FULL, Starts, locked_project
from tests.images.mirror import mirrored_image
from tests.stack import CacheVolume
from tests.stack.containers import Containers

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900 if FULL else 600)]

READONLY = {"PREFECT_UV_CACHE_READONLY": "true"}


def warnings(text: str) -> list[str]:
    """The lines of warning."""
    return [line.removeprefix("prefect-uv: warning: ") for line in text.splitlines() if ": warning: " in line]


def test_read_only_volume_that_has_it(starts: Starts) -> None:
    """What is there is used, without a warning, and nothing is written."""
    assert starts.run().exit_code == 0
    before = starts.volume.run("sh", "-c", "find /cache -printf '%T@ %p\n' | sort | md5sum")
    ask = ("exec", "--", "python", "-c", "import prefect; print(prefect.__version__)")
    outcome = starts.run(*ask, environment=READONLY)
    assert (outcome.exit_code, outcome.stdout, warnings(outcome.stderr)) == (0, "3.8.8\n", []), outcome.output
    assert starts.volume.run("sh", "-c", "find /cache -printf '%T@ %p\n' | sort | md5sum") == before


def test_volume_that_is_mounted_read_only(starts: Starts) -> None:
    """The same by the mount; an unknown fingerprint is answered without writing to the volume."""
    assert starts.run().exit_code == 0
    mounts = [Mount("/store", starts.volume.name, type="volume", read_only=True)]
    environment = {"PREFECT_UV_CACHE_DIR": "/store"}
    warm = starts.run(environment=environment, mounts=mounts)
    assert "(hit " in warm.stderr, warm.output
    assert warnings(warm.stderr) == []
    asked = starts.run(environment={**environment, "PREFECT_UV_LOCK": "frozen"}, mounts=mounts)
    assert "(hit " in asked.stderr, asked.output
    assert warnings(asked.stderr)[0].startswith(
        "/store is not writable (Read-only file system): environments that it lacks"
    )


def test_volume_that_may_not_be_written(starts: Starts) -> None:
    """PREFECT_UV_CACHE_READONLY on an empty volume: built for this run only, said once, nothing written."""
    outcome = starts.run(environment=READONLY)
    assert outcome.exit_code == 0, outcome.output
    assert len(warnings(outcome.stderr)) == 1
    assert "is read-only (PREFECT_UV_CACHE_READONLY): environments that it lacks are built in " in outcome.stderr
    assert ", for this run only" in outcome.stderr
    assert starts.volume.run("ls", "/cache") == ""


def test_root_owned_volume(starts: Starts) -> None:
    """A volume that only root may write: the same, with its reason."""
    starts.volume.run("sh", "-c", "touch /cache/mine && chown 0:0 /cache && chmod 755 /cache")
    outcome = starts.run()
    assert outcome.exit_code == 0, outcome.output
    assert warnings(outcome.stderr)[0].startswith(
        "/cache is not writable (Permission denied): environments that it lacks"
    )


def test_noexec_volume(containers: Containers, image: str, project: Path) -> None:
    """Extension modules cannot be loaded from it: it is not used."""
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=900m,mode=0775,uid=1000,noexec"}
    with CacheVolume.create(containers, image, options) as volume:
        outcome = Starts(containers, image, project, volume).run("exec", "--", "python", "-c", "import pydantic_core")
    assert outcome.exit_code == 0, outcome.output
    assert warnings(outcome.stderr)[0].startswith("/cache is mounted noexec: environments that it lacks are built in")


def test_nowhere_to_build(starts: Starts) -> None:
    """A read-only container and a volume that may not be written: an error that says what to mount."""
    outcome = starts.run(environment=READONLY, read_only=True)
    assert outcome.exit_code == 77, outcome.output
    assert "error[volume-unusable]: There is nowhere to build an environment" in outcome.stderr
    assert "hint: Mount a volume at /cache that uid 1000 or group 0 can write to, without noexec." in outcome.stderr


def test_any_uid_in_group_0(starts: Starts) -> None:
    """Containers of different uids share what they may trust: each reads the other's, the cache is one."""
    first = starts.run(user="1000730000:0")
    assert (first.exit_code, warnings(first.stderr)) == (0, []), first.output
    same = starts.run(user="1000730000:0")
    assert "(hit " in same.stderr
    other = starts.run(user="1000810000:0")
    assert other.exit_code == 0, other.output
    assert "belongs to uid 1000730000, which is not in PREFECT_UV_CACHE_TRUST: not used" in other.stderr
    assert "(hit " in starts.run(user="1000810000:0").stderr
    trusting = starts.run(user="1000990000:0", environment={"PREFECT_UV_CACHE_TRUST": "1000730000"})
    assert "(hit " in trusting.stderr, trusting.output


def test_cache_and_store_on_different_mounts(containers: Containers, starts: Starts) -> None:
    """Files are copied, and one warning tells what that costs."""
    apart = containers.client.volumes.create(labels=containers.labels)
    starts.volume.run("sh", "-c", "mkdir /cache/uv-0.13 && chown 1000:0 /cache/uv-0.13")
    mount = Mount("/cache/uv-0.13", apart.name, type="volume")
    try:
        prepared = starts.run("sh", "-c", "chmod 777 /cache/uv-0.13", mounts=[mount], user="0")
        outcome = starts.run(mounts=[mount])
        assert outcome.exit_code == 0, (prepared.output, outcome.output)
        assert len(warnings(outcome.stderr)) == 1, outcome.output
        assert "are on different mounts: mount one volume at /cache; packages are copied" in outcome.stderr
    finally:
        apart.remove()


@pytest.fixture
def without_links() -> list[str]:
    """Security options under which link() fails, as on a file system without hard links."""
    refused = {"names": ["link", "linkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}
    return [f"seccomp={json.dumps(profile)}"]


def test_no_hard_links(starts: Starts, without_links: list[str]) -> None:
    """Files are copied, and one warning says so."""
    outcome = starts.run(security_opt=without_links)
    assert outcome.exit_code == 0, outcome.output
    assert len(warnings(outcome.stderr)) == 1, outcome.output
    assert "has no hard links (Operation not permitted)" in outcome.stderr


def test_earlier_layout_and_rubbish(starts: Starts) -> None:
    """What an earlier version, or somebody, left on the volume does not disturb a run."""
    script = "mkdir -p /cache/envs/v0/abc /cache/index/v0 /cache/envs/v1/def && echo x > /cache/index/v0/f"
    starts.volume.run("sh", "-c", f"{script} && echo junk > /cache/envs/v1/def/prefect-uv.json && chown -R 1000 /cache")
    outcome = starts.run()
    assert (outcome.exit_code, warnings(outcome.stderr)) == (0, []), outcome.output
    assert "(hit " in starts.run().stderr


def test_damaged_environment_is_found_and_rebuilt(starts: Starts) -> None:
    """`cache verify` names what is damaged and takes its name away: the next run builds it anew."""
    assert starts.run().exit_code == 0
    (name,) = starts.environments()
    starts.volume.run("sh", "-c", f"echo '#' >> /cache/envs/v1/{name}/lib/python3.13/site-packages/prefect/flows.py")
    verified = starts.run("cache", "verify")
    assert (verified.exit_code, verified.stdout) == (1, f"{name[:12]}  DAMAGED: prefect\n")
    assert "(miss " in starts.run().stderr
    assert starts.run("cache", "verify").exit_code == 0


def test_projects_side_by_side(
    containers: Containers, image: str, starts: Starts, tmp_path: Path, project: Path
) -> None:
    """Another project, another group, the same selection under another name: three projects, two environments."""
    group = '[dependency-groups]\nextra = ["cowsay==6.1"]\n[tool.uv]\ndefault-groups = ["extra"]\n'
    others = [locked_project(tmp_path / "twin", ["prefect==3.8.8"])]
    others.append(locked_project(tmp_path / "group", ["prefect==3.8.8"], group))
    for other in (project, *others):
        outcome = Starts(containers, image, other, starts.volume).run()
        assert outcome.exit_code == 0, outcome.output
    assert len(starts.environments()) == 2
    listed = starts.run("cache").stdout
    assert "etl, twin" in listed
    assert "group" in listed


def test_two_pythons_side_by_side(containers: Containers, image: str, starts: Starts, tmp_path: Path) -> None:
    """Images of two Pythons share a volume: each has its environment, and each finds its own again."""
    with mirrored_image(family.read(), tmp_path) as other:
        for tag in (image, other):
            outcome = Starts(containers, tag, starts.project, starts.volume).run()
            assert outcome.exit_code == 0, outcome.output
        assert len(starts.environments()) == 2
        for tag in (image, other):
            assert "(hit " in Starts(containers, tag, starts.project, starts.volume).run().stderr
        script = "cd /cache/envs/v1 && ls -d */lib/python3.*/site-packages/prefect | wc -l"
        assert starts.volume.run("sh", "-c", script).strip() == "2"
