"""The options of `prefect-uv export` and `prefect-uv import`: which environment, and which image."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect_uv.errors import UsageError

REFERENCE_HELP = "registry/repository, with :tag if you like; or oci:DIRECTORY (an OCI layout)"

MOST_WORDS = 2


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """What to export or import.

    Attributes:
        key: for `export`, the beginning of the environment's key; empty for the project in the working directory.
        reference: the name of the image.
        baked: for `import`, to where baked environments are, and not onto the cache volume.
    """

    key: str = ""
    reference: str = ""
    baked: bool = False


def read_image_options(verb: str, given: Mapping[str, Any]) -> ImageOptions:
    """The options, if there are not too many words.

    Raises:
        UsageError: there are.
    """
    words = given.get("words")
    if words is None:
        return ImageOptions(**given)
    if len(words) > MOST_WORDS:
        raise UsageError(
            f"`prefect-uv {verb}`: {words[2]} is one word too many.", hint=f"prefect-uv {verb} [KEY] IMAGE"
        )
    return ImageOptions(key="" if len(words) == 1 else words[0], reference=words[-1])


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    parser.usage = "prefect-uv export [OPTION …] [KEY] IMAGE"
    text = "the first characters of an environment's key, if it is not the project's; and the image"
    parser.add_argument("words", nargs="+", metavar="[KEY] IMAGE", help=f"{text}: {REFERENCE_HELP}")


def add_import_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `import`."""
    parser.add_argument("--baked", action="store_true", help="into PREFECT_UV_BAKED_DIR instead of the cache volume")
    parser.add_argument("reference", metavar="IMAGE", help="the image, as for `export`, or with @sha256:… in the end")
