"""A stand-in for Debian's image where no registry is reachable: the same release, made by mmdebstrap."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from images import apt
from images.family import Family
from images.process import ToolError, run, say

EXCLUDED = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
KEPT = "/usr/share/doc/*/copyright"


def ensure_debian(docker: str, family: Family) -> None:
    """Make sure that the engine has Debian's image: present, pulled, or made here."""
    image = family.debian_image
    if run([docker, "image", "ls", "--quiet", image], timeout=60).strip():
        return
    try:
        say(f"pulling {image}")
        run([docker, "pull", "--quiet", image], timeout=600)
    except ToolError as error:
        reason = str(error).splitlines()[-1]
        say(f"no registry gave {image} ({reason}); making it from Debian's packages with mmdebstrap")
        _make(docker, family)


def _make(docker: str, family: Family) -> None:
    if not shutil.which("mmdebstrap"):
        apt.install("mmdebstrap", f"it makes {family.debian_image} where no registry is reachable")
    with tempfile.TemporaryDirectory(prefix="prefect-uv-") as directory:
        tar, mirror = Path(directory, "root.tar"), Path(directory, "machine.sources")
        mirror.write_text(apt.sources(family.debian))
        options = [*_without_documentation(), *(_through(mirror) if mirror.stat().st_size else [])]
        run(["mmdebstrap", "--variant=minbase", *options, family.debian, str(tar)], timeout=900)
        run([docker, "import", "--change", 'CMD ["bash"]', str(tar), family.debian_image], timeout=300)


def _without_documentation() -> list[str]:
    """Options that drop what Debian's slim image drops, now and for packages installed later."""
    return [f"--dpkgopt=path-exclude={path}" for path in EXCLUDED] + [f"--dpkgopt=path-include={KEPT}"]


def _through(mirror: Path) -> list[str]:
    """Options that install from the machine's mirror, but leave Debian's own addresses in the file system."""
    etc = '"$1"/etc/apt'
    return [
        f"--setup-hook=mv {etc}/sources.list {etc}/default",
        f"--setup-hook=cp {mirror} {etc}/sources.list.d/machine.sources",
        f"--customize-hook=rm {etc}/sources.list.d/machine.sources",
        f"--customize-hook=mv {etc}/default {etc}/sources.list",
    ]
