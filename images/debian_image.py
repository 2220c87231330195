"""Debian's image: present, pulled, or, if no registry can be reached, made from its packages by mmdebstrap."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from images import apt
from images.family import Family
from images.process import ToolError, run, say

EXCLUDED = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
KEPT = "/usr/share/doc/*/copyright"


def ensure_debian_image(docker: str, family: Family) -> None:
    """Make sure that the Docker engine has Debian's image."""
    image = family.debian_image
    if run([docker, "image", "ls", "--quiet", image], timeout=60).strip():
        return
    try:
        say(f"pulling {image}")
        run([docker, "pull", "--quiet", image], timeout=600)
    except ToolError as error:
        reason = str(error).splitlines()[-1]
        say(f"{image} could not be pulled ({reason}); making it from Debian's packages with mmdebstrap")
        _bootstrap(docker, family)


def _bootstrap(docker: str, family: Family) -> None:
    if not shutil.which("mmdebstrap"):
        apt.install("mmdebstrap", f"without a registry it makes {family.debian_image}")
    with tempfile.TemporaryDirectory(prefix="prefect-uv-") as directory:
        tar, mirror = Path(directory, "root.tar"), Path(directory, "machine.sources")
        mirror.write_text(apt.sources(family.debian))
        options = [*_exclude_documentation(), *(_use_mirror(mirror) if mirror.stat().st_size else [])]
        run(["mmdebstrap", "--variant=minbase", *options, family.debian, str(tar)], timeout=900)
        run([docker, "import", "--change", 'CMD ["bash"]', str(tar), family.debian_image], timeout=300)


def _exclude_documentation() -> list[str]:
    """Options that leave out what Debian's slim image leaves out, also from packages installed later."""
    return [f"--dpkgopt=path-exclude={path}" for path in EXCLUDED] + [f"--dpkgopt=path-include={KEPT}"]


def _use_mirror(mirror: Path) -> list[str]:
    """Options that install from this machine's mirror, but keep Debian's own addresses in the image.

    Hooks: https://manpages.debian.org/trixie/mmdebstrap/mmdebstrap.1.en.html
    """
    etc = '"$1"/etc/apt'
    return [
        f"--setup-hook=mv {etc}/sources.list {etc}/default",
        f"--setup-hook=cp {mirror} {etc}/sources.list.d/machine.sources",
        f"--customize-hook=rm {etc}/sources.list.d/machine.sources",
        f"--customize-hook=mv {etc}/default {etc}/sources.list",
    ]
