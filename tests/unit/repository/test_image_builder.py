"""The builder of the images: the family as data, what is passed to a build, and what is printed when it fails."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from images import daemon
from images.build import NO_PYTHON, build_arguments, failed_step
from images.family import ROOT, read
from images.process import ToolError, run
from images.requirements import OUTPUTS
from images.secrets import index_exports, proxy_options


def test_every_image_has_a_dockerfile_a_readme_and_tests() -> None:
    """A Dockerfile's suffix names the folder with its scripts and its README, and its tests."""
    for image in read().images.values():
        assert (ROOT / image.dockerfile).is_file()
        folder = Path(image.dockerfile).suffix.removeprefix(".")
        assert (ROOT / "images" / folder / "README.md").is_file()
        assert (ROOT / "tests/images" / folder).is_dir()


def test_every_python_in_every_flavour() -> None:
    """The names are those that users know; only the default flavour has none in the name."""
    family = read()
    assert list(family.images) == [
        "base",
        "base-slim",
        "tool",
        *(f"py{python}{flavour}" for flavour in ("", "-slim", "-build") for python in (313, 312, 314, 311, 310)),
    ]
    assert [image.name for image in family.lineage("py310-slim")] == ["base-slim", "py310-slim"]
    assert not family.images["base-slim"].prefect_client


def test_python_of_a_debian_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base has the release's own Python; others of the release are packages, and headers only if it has them."""
    assert read().images["py313-build"].packages[-1] == "python3.13-dev"
    assert read().images["py314-build"].packages[-1] == "pkg-config"
    monkeypatch.setenv("IMAGE_DEBIAN", "forky")
    family = read()
    assert (family.debian_image, family.images["base"].python) == ("debian:forky-slim", "3.14")
    assert family.images["py314"].packages == ()
    assert family.images["py313"].packages == ("python3.13",)
    assert family.images["py313-build"].packages[-1] == "python3.13-dev"
    monkeypatch.setenv("IMAGE_DEBIAN", "sarge")
    with pytest.raises(ToolError, match=r"no Debian release is named sarge; there are trixie, forky"):
        read()


def test_lineage_is_in_build_order() -> None:
    """A parent is built before its children."""
    assert [image.name for image in read().lineage("py313")] == ["base", "py313"]


def test_repository_name_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """IMAGE_REPOSITORY takes precedence over family.toml, unless it is empty."""
    monkeypatch.setenv("IMAGE_REPOSITORY", "registry.example/flows")
    assert read().tag("base") == "registry.example/flows:base"
    monkeypatch.setenv("IMAGE_REPOSITORY", "")
    assert read().tag("base") == "prefect-uv:base"


@pytest.mark.parametrize("name", list(read().images))
def test_dockerfile_declares_the_build_arguments(name: str) -> None:
    """A Dockerfile declares every argument that is passed to it, and its base is the default flavour's."""
    family = read()
    image = family.images[name]
    text = (ROOT / image.dockerfile).read_text()
    for argument in build_arguments(family, image):
        assert f"ARG {argument}" in text
    assert f"ARG BASE={family.base_of(image).removesuffix('-slim') if image.parent else family.debian_image}" in text


def test_requirements_are_locked_to_the_pins() -> None:
    """`make lock` was run after the last change of a pin: every locked version is one that its pin allows."""
    locked: dict[str, set[str]] = {}
    for path in OUTPUTS:
        for name, version in re.findall(r"^([\w.-]+)==([^ ;]+)", (ROOT / path).read_text(), re.MULTILINE):
            locked.setdefault(name, set()).add(version)
    for name, constraint in read().pins.items():
        assert locked[name], f"{name} is pinned, and nothing needs it"
        assert all(SpecifierSet(constraint).contains(version) for version in locked[name]), (name, locked[name])


def test_index_of_one_installer_serves_both() -> None:
    """An index that is set for pip or for uv alone is passed on to both."""
    line = "export PIP_INDEX_URL=https://index.example/simple\nexport UV_DEFAULT_INDEX={}https://index.example/simple\n"
    assert index_exports({"PIP_INDEX_URL": "https://index.example/simple", "UV_INDEX": ""}) == line.format("")
    assert index_exports({"UV_DEFAULT_INDEX": "own=https://index.example/simple"}) == line.format("own=")
    assert index_exports({"HOME": "/root"}) == ""


def test_index_with_shell_characters_is_quoted() -> None:
    """A password is never run as a command."""
    exports = index_exports({"UV_INDEX": "https://u:$(id)'@index.example/simple"})
    shell = subprocess.run(["sh", "-c", f'{exports}printf %s "$UV_INDEX"'], check=True, capture_output=True, text=True)
    assert shell.stdout == "https://u:$(id)'@index.example/simple"


def test_proxies_are_passed_by_name_only() -> None:
    """A proxy's address, which may contain a password, is on no command line."""
    options = proxy_options({"https_proxy": "http://u:secret@proxy.example", "NO_PROXY": "localhost", "HTTP_PROXY": ""})
    assert options == ["--build-arg=https_proxy", "--build-arg=NO_PROXY"]


def test_failed_step_is_reported_without_buildkits_numbers() -> None:
    """The message has what the failed step printed, and nothing from other steps."""
    output = f"#4 0.1 fine\n#5 0.5 error: no route\n#5 0.6\n#5 0.7 {NO_PYTHON}: none\n#5 ERROR: executor failed\n"
    assert failed_step(output) == f"error: no route\n\n{NO_PYTHON}: none"
    assert failed_step("error during connect") == ""


def test_failed_tool_is_reported_with_its_last_lines() -> None:
    """The message has the exit code or the timeout, and the end of the output."""
    with pytest.raises(ToolError, match=r"failed with exit code 3:\nwhy$"):
        run(["sh", "-c", "echo why; exit 3"], timeout=10)
    with pytest.raises(ToolError, match="did not end within 0 s"):
        run(["sleep", "60"], timeout=0.1)


def test_daemon_is_stopped_with_its_children(tmp_path: Path) -> None:
    """No descendant outlives a daemon, not even one that has left its session or is stopped."""
    script = "setsid sleep 300 & echo ready; wait"
    log = tmp_path / "log"
    process = daemon.start(["sh", "-c", script], log, ready=lambda: "ready" in log.read_text())
    assert daemon.wait_until(lambda: len(daemon.process_tree(process.pid)) == 2, 10)
    tree = daemon.process_tree(process.pid)
    child = next(pid for pid in tree if pid != process.pid)
    os.kill(child, signal.SIGSTOP)
    try:
        daemon.stop(process, grace_seconds=0.5)
    finally:
        assert daemon.alive(tree) == []


def test_daemon_that_ends_immediately_is_reported_with_its_log(tmp_path: Path) -> None:
    """The message has the end of the log, so that nobody has to open the file."""
    with pytest.raises(ToolError, match="no such device"):
        daemon.start(["sh", "-c", "echo no such device; exit 1"], tmp_path / "log", ready=lambda: False)


def test_unknown_image_is_reported_with_the_known_ones() -> None:
    """The error for an unknown name lists the names that exist."""
    completed = subprocess.run(
        [sys.executable, "-m", "images", "build", "py27"],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
    )
    assert completed.returncode == 1
    assert completed.stderr == f"images: no image is named py27; there are {', '.join(read().images)}\n"
