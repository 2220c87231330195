"""Unsuitable volumes: each works with a warning, or gives an error that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from docker.types import Mount

from images import family
from tests.environments.conftest import FULL, Starts, locked_project
from tests.images.mirror import mirrored_image
from tests.pins import PREFECT
from tests.stack import CacheVolume, PackageIndex
from tests.stack.containers import Containers

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900 if FULL else 600)]

GROUP = '[dependency-groups]\nextra = ["trinket"]\n[tool.uv]\ndefault-groups = ["extra"]\n'
READONLY = {"PREFECT_UV_CACHE_READONLY": "true"}


def warnings(text: str) -> list[str]:
    """The texts of the warnings."""
    return [line.removeprefix("prefect-uv: warning: ") for line in text.splitlines() if ": warning: " in line]


@pytest.fixture
def starts(containers: Containers, image: str, small: Path, volume: CacheVolume) -> Starts:
    """Starts for a project that is built in no time, on a new volume: the volume is what is tested here."""
    return Starts(containers, image, small, volume)


def test_read_only_setting_with_the_environment(starts: Starts) -> None:
    """The existing environment is used without a warning, and nothing is written."""
    assert starts.run().exit_code == 0
    before = starts.volume.run("sh", "-c", "find /cache -printf '%T@ %p\n' | sort | md5sum")
    show_version = ("exec", "--", "python", "-c", "import prefect; print(prefect.__version__)")
    outcome = starts.run(*show_version, environment=READONLY)
    assert (outcome.exit_code, outcome.stdout, warnings(outcome.stderr)) == (0, f"{PREFECT}\n", []), outcome.output
    assert starts.volume.run("sh", "-c", "find /cache -printf '%T@ %p\n' | sort | md5sum") == before


def test_volume_mounted_read_only(starts: Starts) -> None:
    """The existing environment is used; uv answers an unknown fingerprint without a write to the volume."""
    assert starts.run().exit_code == 0
    mounts = [Mount("/store", starts.volume.name, type="volume", read_only=True)]
    environment = {"PREFECT_UV_CACHE_DIR": "/store"}
    warm = starts.run(environment=environment, mounts=mounts)
    assert "(hit " in warm.stderr, warm.output
    assert warnings(warm.stderr) == []
    unknown = starts.run(environment={**environment, "PREFECT_UV_LOCK": "frozen"}, mounts=mounts)
    assert "(hit " in unknown.stderr, unknown.output
    assert warnings(unknown.stderr)[0].startswith(
        "/store is not writable (Read-only file system): environments that it lacks"
    )


def test_read_only_setting_with_an_empty_volume(starts: Starts) -> None:
    """The environment is built for this run only, with one warning, and nothing is written to the volume."""
    outcome = starts.run(environment=READONLY)
    assert outcome.exit_code == 0, outcome.output
    assert len(warnings(outcome.stderr)) == 1
    assert "is read-only (PREFECT_UV_CACHE_READONLY): environments that it lacks are built in " in outcome.stderr
    assert ", for this run only" in outcome.stderr
    assert starts.volume.run("ls", "/cache") == ""


def test_root_owned_volume(starts: Starts) -> None:
    """A volume that only root may write to is not used, and the warning has the reason."""
    starts.volume.run("sh", "-c", "touch /cache/mine && chown 0:0 /cache && chmod 755 /cache")
    outcome = starts.run()
    assert outcome.exit_code == 0, outcome.output
    assert warnings(outcome.stderr)[0].startswith(
        "/cache is not writable (Permission denied): environments that it lacks"
    )


def test_noexec_volume(containers: Containers, image: str, project: Path) -> None:
    """It is not used, because extension modules cannot be loaded from it."""
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=900m,mode=0775,uid=1000,noexec"}
    with CacheVolume.create(containers, image, options) as volume:
        outcome = Starts(containers, image, project, volume).run("exec", "--", "python", "-c", "import pydantic_core")
    assert outcome.exit_code == 0, outcome.output
    assert warnings(outcome.stderr)[0].startswith("/cache is mounted noexec: environments that it lacks are built in")


def test_nowhere_to_build(starts: Starts) -> None:
    """In a read-only container with a read-only volume, the error says what to mount."""
    outcome = starts.run(environment=READONLY, read_only=True)
    assert outcome.exit_code == 77, outcome.output
    assert "error[volume-unusable]: There is nowhere to build an environment" in outcome.stderr
    assert "hint: Mount a volume at /cache that uid 1000 or group 0 can write to, without noexec." in outcome.stderr


def test_any_uid_in_group_0(starts: Starts) -> None:
    """Containers of different uids share everything if only their group may write to the volume."""
    first = starts.run(user="1000730000:0")
    assert (first.exit_code, warnings(first.stderr)) == (0, []), first.output
    other = starts.run(user="1000810000:0")
    assert (other.exit_code, warnings(other.stderr)) == (0, []), other.output
    assert "(hit " in other.stderr, other.output


def test_any_uid_where_everyone_may_write(starts: Starts) -> None:
    """Containers of different uids share what users that they trust have written, and build the rest next to it."""
    first = starts.run(user="1000730000:0")
    assert first.exit_code == 0, first.output
    starts.volume.run("chmod", "777", "/cache")
    other = starts.run(user="1000810000:0")
    assert other.exit_code == 0, other.output
    assert "belongs to uid 1000730000, which is not in PREFECT_UV_CACHE_TRUST: not used" in other.stderr
    assert "(hit " in starts.run(user="1000810000:0").stderr
    trusting = starts.run(user="1000990000:0", environment={"PREFECT_UV_CACHE_TRUST": "1000730000"})
    assert "(hit " in trusting.stderr, trusting.output


def test_uv_cache_on_another_mount(containers: Containers, starts: Starts) -> None:
    """Files are copied, and one warning says what that costs."""
    other_volume = containers.client.volumes.create(labels=containers.labels)
    starts.volume.run("sh", "-c", "mkdir /cache/uv-0.13 && chown 1000:0 /cache/uv-0.13")
    mount = Mount("/cache/uv-0.13", other_volume.name, type="volume")
    try:
        prepared = starts.run("sh", "-c", "chmod 777 /cache/uv-0.13", mounts=[mount], user="0")
        outcome = starts.run(mounts=[mount])
        assert outcome.exit_code == 0, (prepared.output, outcome.output)
        assert len(warnings(outcome.stderr)) == 1, outcome.output
        assert "are on different mounts: mount one volume at /cache; packages are copied" in outcome.stderr
    finally:
        other_volume.remove()


@pytest.fixture
def without_links() -> list[str]:
    """Security options with which link() fails, as on a file system without hard links."""
    refused = {"names": ["link", "linkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}
    return [f"seccomp={json.dumps(profile)}"]


def test_no_hard_links(starts: Starts, without_links: list[str]) -> None:
    """Files are copied, and one warning says so."""
    outcome = starts.run(security_opt=without_links)
    assert outcome.exit_code == 0, outcome.output
    assert len(warnings(outcome.stderr)) == 1, outcome.output
    assert "has no hard links (Operation not permitted)" in outcome.stderr


def test_earlier_layout_and_foreign_files(starts: Starts) -> None:
    """Files that an earlier release or somebody else has left on the volume do not disturb a run."""
    script = "mkdir -p /cache/envs/v0/abc /cache/index/v0 /cache/envs/v1/def && echo x > /cache/index/v0/f"
    starts.volume.run("sh", "-c", f"{script} && echo junk > /cache/envs/v1/def/prefect-uv.json && chown -R 1000 /cache")
    outcome = starts.run()
    assert (outcome.exit_code, warnings(outcome.stderr)) == (0, []), outcome.output
    assert "(hit " in starts.run().stderr


def test_damaged_environment_is_found_and_rebuilt(starts: Starts) -> None:
    """`cache verify` names the damage and discards the environment, and the next run rebuilds it."""
    assert starts.run().exit_code == 0
    (name,) = starts.environments()
    starts.volume.run("sh", "-c", f"echo '#' >> /cache/envs/v1/{name}/lib/python3.13/site-packages/prefect.py")
    verified = starts.run("cache", "verify")
    assert (verified.exit_code, verified.stdout) == (1, f"{name[:12]}  DAMAGED: prefect\n")
    assert "(miss " in starts.run().stderr
    assert starts.run("cache", "verify").exit_code == 0


def test_projects_side_by_side(
    containers: Containers, image: str, starts: Starts, index: PackageIndex, tmp_path: Path
) -> None:
    """Three projects, two of which select the same packages, have two environments."""
    index.publish("trinket", "1.0", "")
    others = [locked_project(tmp_path / "twin", [f"prefect=={PREFECT}"], index.settings)]
    others.append(locked_project(tmp_path / "group", [f"prefect=={PREFECT}"], GROUP + index.settings))
    for other in (starts.project, *others):
        outcome = Starts(containers, image, other, starts.volume).run()
        assert outcome.exit_code == 0, outcome.output
    assert len(starts.environments()) == 2
    listed = starts.run("cache").stdout
    assert "small, twin" in listed
    assert "group" in listed


def test_two_pythons_side_by_side(containers: Containers, image: str, starts: Starts, tmp_path: Path) -> None:
    """Images of two Pythons share a volume: each builds its own environment, and finds it again."""
    with mirrored_image(family.read(), tmp_path) as other:
        for tag in (image, other):
            outcome = Starts(containers, tag, starts.project, starts.volume).run()
            assert outcome.exit_code == 0, outcome.output
        assert len(starts.environments()) == 2
        for tag in (image, other):
            assert "(hit " in Starts(containers, tag, starts.project, starts.volume).run().stderr
        script = "cd /cache/envs/v1 && ls -d */lib/python3.*/site-packages/prefect.py | wc -l"
        assert starts.volume.run("sh", "-c", script).strip() == "2"
