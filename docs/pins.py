"""Write the versions and the images' name in `images/family.toml` into the documentation, and into `compose.yaml`.

In code blocks, every requirement of a pinned package is rewritten (`fastapi<0.151`, `prefect==3.8.8`). In prose, a
version is between two comments: `Prefect <!-- pin: prefect -->3.8.8<!-- end -->`.
"""

from __future__ import annotations

import re
import textwrap

from docs.markdown import table
from images.family import ROOT, read

PAGES = ("README.md", "compose.yaml", "docs/*.md", "docs/[!a]*/*.md", "examples/*/README.md", "images/*/README.md")
"""Without decisions (`docs/adr`): their versions are those of the day when they were written."""
PINS = read().pins
NAMES = "|".join(sorted(PINS, key=len, reverse=True))
REQUIREMENT = re.compile(rf"(?<![\w-])(?P<name>{NAMES})(?:==|<)[0-9][0-9.]*[0-9]")
PUBLISHED = read().published
IMAGE = re.compile(r"(?<![\w./@])(?:(?:\w[\w-]*\.)+io/(?:[\w.-]+/)*)?prefect-uv(?=:(?:base|py|tool))")
"""A name of the images: without a registry, or in one whose host ends in `.io` (docker.io, ghcr.io, quay.io)."""
PROJECT = ROOT / "examples" / "hello"
FILE = re.compile(r"^(?P<before> *cat > (?P<name>[\w.]+) <<'END'\n).*?(?P<after>^ *END$)", re.MULTILINE | re.DOTALL)
"""A file of the example that `compose.yaml` writes, in a block whose lines are indented like its end."""
PROSE = re.compile(r"(?P<before><!-- pin: (?P<name>[\w-]+) -->)[^<]*(?P<after><!-- end -->)")


def pinned_pages() -> set[str]:
    """The pages whose versions are generated."""
    return {str(path.relative_to(ROOT)) for pattern in PAGES for path in ROOT.glob(pattern)}


def pinned(text: str) -> str:
    """A page's text with the versions of the family and the published name of its images."""
    text = with_project(IMAGE.sub(PUBLISHED, text))
    text = REQUIREMENT.sub(lambda match: match["name"] + PINS[match["name"]], text)
    return PROSE.sub(lambda match: match["before"] + PINS[match["name"]].lstrip("=<") + match["after"], text)


def with_project(text: str) -> str:
    """The text of `compose.yaml` with the files of the example that `make demo` runs, too."""

    def written(match: re.Match[str]) -> str:
        indent = match["after"].removesuffix("END")
        content = (PROJECT / match["name"]).read_text().replace("$", "$$")  # compose replaces $NAME
        content = textwrap.indent(content, indent)
        return f"{match['before']}{content}{match['after']}"

    return FILE.sub(written, text)


def images() -> str:
    """The images of the family as a Markdown table; images for projects come first, and a flavour is one row."""
    family = read()
    ordered = sorted(family.images.values(), key=lambda image: image.parent is None)
    rows: dict[str, tuple[str, str, str]] = {}
    for image in ordered:
        python, dash, _ = image.name.partition("-")
        shown = "pyXY" if dash and image.parent else python
        name, description = (text.replace(python, shown) for text in (image.name, image.description))
        rows.setdefault(name, (f"`{PUBLISHED}:{name}`", description, f"`make build/{image.name}`"))
    return table(("Tag", "What it is", "Build it with"), rows.values())
