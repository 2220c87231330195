"""Build the images of the family, parents first."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace

from images import secrets
from images.debian_image import ensure_debian_image
from images.emulation import ensure_emulation
from images.family import ROOT, Family, Image
from images.process import TAIL_LINES, ToolError, run, say

BUILD_TIMEOUT = 1800
MEGABYTE = 1_000_000
PAGE = "docs/reference/images.md"
NO_PYTHON = "error[python-download]"


def build(docker: str, family: Family, names: Sequence[str], *extra: str) -> dict[str, ToolError]:
    """Build the named images and their parents, and return the failures by image name.

    `extra` are further options of `docker build`.
    """
    images = {image.name: image for name in names for image in family.lineage(name)}
    if family.platform:
        ensure_emulation(family.platform)
    ensure_debian_image(docker, family)
    failures: dict[str, ToolError] = {}
    with secrets.options(family.debian) as options:
        for image in images.values():
            if image.parent in failures:
                failures[image.name] = ToolError(f"{image.name} is built from {image.parent}, which failed")
                continue
            try:
                _build(docker, family, image, [*options, *extra])
            except ToolError as error:
                failures[image.name] = error
    return failures


def _build(docker: str, family: Family, image: Image, options: Sequence[str]) -> None:
    say(f"building {family.tag(image.name)}")
    began = time.monotonic()
    arguments = [f"--build-arg={name}={value}" for name, value in build_arguments(family, image).items()]
    arguments += [f"--label={name}={value}" for name, value in labels(family, image).items()]
    arguments += ["--file", str(ROOT / image.dockerfile), "--tag", family.tag(image.name), "--network=host"]
    arguments += [f"--target={image.target}"] if image.target else []
    arguments += [f"--platform={family.platform}"] if family.platform else []
    command = [docker, "build", "--progress=plain", *arguments, *options, str(ROOT)]
    try:
        run(command, timeout=BUILD_TIMEOUT, environ={"DOCKER_BUILDKIT": "1"})
    except ToolError as error:
        raise ToolError(failed_step(error.output) or str(error)) from error
    say(f"built {family.tag(image.name)} in {time.monotonic() - began:.0f} s")


def failed_step(output: str) -> str:
    """The last lines that the failed step printed, without BuildKit's numbers; empty if no step failed.

    BuildKit writes `#12 ERROR: …` for the failed step and `#12 1.234 text` for its output (observed; held by
    test_failed_step_is_reported_without_buildkits_numbers).
    """
    failed = re.search(r"^#(\d+) ERROR", output, re.MULTILINE)
    lines = re.findall(rf"^#{failed[1]} \d+\.\d+ ?(.*)$", output, re.MULTILINE) if failed else []
    return "\n".join(lines[-TAIL_LINES:])


def build_arguments(family: Family, image: Image) -> dict[str, str]:
    """The build arguments, which the image's Dockerfile declares."""
    stage = {} if image.parent else {"CLIENT": "client" if image.prefect_client else "no-client"}
    return {
        "BASE": family.base_of(image),
        "NAME": image.name,
        "PACKAGES": " ".join(image.packages),
        "PREFECT_VERSION": family.prefect,
        "PYTHON_VERSION": image.python,
        **stage,
    }


def labels(family: Family, image: Image) -> dict[str, str]:
    """The OCI labels, without the creation date, because an unchanged image must keep its ID."""
    values = {
        "title": f"prefect-uv {image.name}",
        "description": image.description,
        "version": family.version,
        "revision": revision(),
        "licenses": family.licenses,
        "base.name": replace(family, platform="").base_of(image),
    }
    return {f"org.opencontainers.image.{name}": value for name, value in values.items()}


def revision() -> str:
    """The commit of this repository, with `-dirty` if files differ from it; `unknown` outside git.

    The page that a release writes may differ.
    """
    git = ["git", "-C", str(ROOT)]
    try:
        commit = run([*git, "rev-parse", "HEAD"], timeout=60).strip()
        changes = run([*git, "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{PAGE}"], timeout=60)
    except ToolError:
        return "unknown"
    return f"{commit}-dirty" if changes else commit


def size_table(docker: str, family: Family) -> str:
    """A table of the images that exist, with their uncompressed sizes."""
    listing = run([docker, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], timeout=60).split()
    tags = [tag for name in family.images if (tag := family.tag(name)) in listing]
    sizes = [run([docker, "image", "inspect", "--format", "{{.Size}}", tag], timeout=60) for tag in tags]
    return "\n".join(f"{tag:<24}{int(size) / MEGABYTE:>8.1f} MB" for tag, size in zip(tags, sizes, strict=True))
