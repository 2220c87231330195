"""Programs of another platform on this machine: qemu, which the kernel starts for them (binfmt_misc).

https://wiki.debian.org/QemuUserEmulation
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from images import apt
from images.process import ToolError, run, say

REGISTERED = Path("/proc/sys/fs/binfmt_misc")
REASON = "images for another platform are built by running its programs"


def ensure_emulation(platform: str) -> None:
    """Make sure that this machine runs programs of a platform such as `linux/arm64`.

    Raises:
        ToolError: it does not, and qemu cannot be installed here.
    """
    architecture = platform.partition("/")[2]
    if not shutil.which("arch-test"):
        apt.install("arch-test", REASON)
    if _runs(architecture):
        return
    for package in ("qemu-user-static", "binfmt-support"):
        apt.install(package, REASON)
    if not (REGISTERED / "register").exists():
        say(f"mounting {REGISTERED}")
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(REGISTERED)], timeout=60)
        run(["update-binfmts", "--enable"], timeout=60)
    if not _runs(architecture):
        raise ToolError(f"this machine cannot run programs of {platform}, although qemu-user-static is installed")


def _runs(architecture: str) -> bool:
    return subprocess.run(["arch-test", architecture], check=False, capture_output=True, timeout=60).returncode == 0
