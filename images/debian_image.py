"""Debian's image: present, pulled, or, if no registry can be reached, made from its packages by mmdebstrap."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

from images import apt
from images.family import Family, native_platform
from images.process import ToolError, run, say

EXCLUDED = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
FIXED_TIME = "315532800"  # 1980-01-01: no file is newer, so that the same packages make the same files
KEPT = "/usr/share/doc/*/copyright"


def ensure_debian_image(docker: str, family: Family) -> None:
    """Make sure that the Docker engine has Debian's image."""
    image = family.debian_image
    if run([docker, "image", "ls", "--quiet", image], timeout=60).strip():
        return
    try:
        _pull(docker, family)
    except ToolError as error:
        reason = str(error).splitlines()[-1]
        say(f"{image} could not be pulled ({reason}); making it from Debian's packages with mmdebstrap")
        _bootstrap(docker, family)


def _pull(docker: str, family: Family) -> None:
    """Pull the image; one for another platform gets another name, because the engine keeps one for a name."""
    own = replace(family, platform="").debian_image
    say(f"pulling {own} {family.platform}".rstrip())
    if not family.platform:
        run([docker, "pull", "--quiet", own], timeout=600)
        return
    before = run([docker, "image", "ls", "--quiet", own], timeout=60).strip()
    run([docker, "pull", "--quiet", f"--platform={family.platform}", own], timeout=600)
    run([docker, "tag", own, family.debian_image], timeout=60)
    run([docker, "tag", before, own] if before else [docker, "image", "rm", own], timeout=60)


def _bootstrap(docker: str, family: Family) -> None:
    if not shutil.which("mmdebstrap"):
        apt.install("mmdebstrap", f"without a registry it makes {family.debian_image}")
    with tempfile.TemporaryDirectory(prefix="prefect-uv-") as directory:
        tar, mirror = Path(directory, "root.tar"), Path(directory, "machine.sources")
        mirror.write_text(apt.sources(family.debian))
        options = [*_exclude_documentation(), *(_use_mirror(mirror) if mirror.stat().st_size else [])]
        if family.platform:
            options.append(f"--architectures={family.platform.partition('/')[2]}")
        command = ["mmdebstrap", "--variant=minbase", *options, family.debian, str(tar)]
        run(command, timeout=900, environ={"SOURCE_DATE_EPOCH": FIXED_TIME})
        _load(docker, tar, family)


def _load(docker: str, root: Path, family: Family) -> None:
    """Load a root file system as an image of its platform; `docker import` makes it one of this machine's own.

    Docker 20.10: https://github.com/moby/moby/blob/v20.10.24/image/spec/v1.2.md
    """
    with root.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": (family.platform or native_platform()).partition("/")[2],
        "os": "linux",
        "config": {"Cmd": ["bash"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created_by": "mmdebstrap"}],
    }
    listed = [{"Config": "config.json", "RepoTags": [family.debian_image], "Layers": [root.name]}]
    archive = root.with_name("image.tar")
    with tarfile.open(archive, "w") as image:
        image.add(root, root.name)
        for name, document in (("config.json", config), ("manifest.json", listed)):
            root.with_name(name).write_text(json.dumps(document))
            image.add(root.with_name(name), name)
    run([docker, "load", "--quiet", "--input", str(archive)], timeout=300)


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
