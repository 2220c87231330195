"""Which users can run the image, and where they can write."""

from __future__ import annotations

from typing import Any

import pytest

from tests.images.containers import Runner

WRITABLE = ["/cache", "/opt/baked", "/opt/prefect", "/home/prefect", "/tmp"]
IMAGE_USER = {"user": None}
ARBITRARY_USER = {"user": "12345:0"}


@pytest.mark.parametrize("user", [IMAGE_USER, ARBITRARY_USER], ids=["image", "arbitrary"])
def test_writable_directories(run: Runner, user: dict[str, Any]) -> None:
    """Any user in group 0 can write to the cache, the baked directory, the work directory, the home and /tmp."""
    script = 'for directory; do touch "$directory/probe" && rm "$directory/probe" || exit; done'
    run.succeed(["bash", "-c", script, "bash", *WRITABLE], **user)


@pytest.mark.parametrize("user", [IMAGE_USER, ARBITRARY_USER], ids=["image", "arbitrary"])
def test_everything_else_is_read_only(run: Runner, user: dict[str, Any]) -> None:
    """Nothing else is writable, so a flow cannot change the program, the interpreter or the system."""
    script = "find / -xdev -path /proc -prune -o -writable ! -type l ! -type c -print"
    writable = run.succeed(["bash", "-c", f"{script} 2>/dev/null; true"], **user).splitlines()
    allowed = (*WRITABLE, "/dev", "/var/tmp", "/proc")
    assert [path for path in writable if not path.startswith(allowed)] == []


@pytest.mark.parametrize("user", [IMAGE_USER, ARBITRARY_USER], ids=["image", "arbitrary"])
def test_read_only_root_file_system(run: Runner, user: dict[str, Any]) -> None:
    """The image works with a read-only root if the cache, the work directory and /tmp are writable."""
    options: dict[str, Any] = {
        "read_only": True,
        "tmpfs": {"/tmp": "", "/cache": "mode=1777", "/opt/prefect": "mode=1777"},
    }
    assert "PREFECT__FLOW_RUN_ID" in run.succeed(**options, **user)
    run.succeed(["sh", "-c", "uv --version && git init --quiet /opt/prefect/probe"], **options, **user)
    run.succeed(["uv", "venv", "--quiet", "/cache/probe"], environment={"UV_CACHE_DIR": "/cache/uv"}, **options, **user)
