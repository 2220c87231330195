"""Who may run the image, and where it may write."""

from __future__ import annotations

from typing import Any

import pytest

from tests.images.containers import Runner

WRITABLE = ["/cache", "/opt/baked", "/opt/prefect", "/home/prefect", "/tmp"]
OWN = {"user": None}
ARBITRARY = {"user": "12345:0"}


@pytest.mark.parametrize("user", [OWN, ARBITRARY], ids=["own", "arbitrary"])
def test_writable_directories(run: Runner, user: dict[str, Any]) -> None:
    """The cache, what is baked into, the work directory and the home are writable for any user in group 0."""
    script = 'for directory; do touch "$directory/probe" && rm "$directory/probe" || exit; done'
    run.succeed(["bash", "-c", script, "bash", *WRITABLE], **user)


@pytest.mark.parametrize("user", [OWN, ARBITRARY], ids=["own", "arbitrary"])
def test_everything_else_is_read_only(run: Runner, user: dict[str, Any]) -> None:
    """A flow cannot change the program, the interpreter or the system."""
    script = "find / -xdev -path /proc -prune -o -writable ! -type l ! -type c -print"
    found = run.succeed(["bash", "-c", f"{script} 2>/dev/null; true"], **user).splitlines()
    allowed = (*WRITABLE, "/dev", "/run/lock", "/var/lock", "/var/tmp", "/proc")
    assert [path for path in found if not path.startswith(allowed)] == []


@pytest.mark.parametrize("user", [OWN, ARBITRARY], ids=["own", "arbitrary"])
def test_read_only_root_file_system(run: Runner, user: dict[str, Any]) -> None:
    """It starts on a read-only root with a cache, a work directory and a /tmp to write to."""
    options: dict[str, Any] = {
        "read_only": True,
        "tmpfs": {"/tmp": "", "/cache": "mode=1777", "/opt/prefect": "mode=1777"},
    }
    assert "PREFECT__FLOW_RUN_ID" in run.succeed(**options, **user)
    run.succeed(["sh", "-c", "uv --version && git init --quiet /opt/prefect/probe"], **options, **user)
    run.succeed(["uv", "venv", "--quiet", "/cache/probe"], environment={"UV_CACHE_DIR": "/cache/uv"}, **options, **user)
