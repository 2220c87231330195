"""Versions in the documentation: they come from `images/family.toml`.

In code blocks every requirement of a pinned package is rewritten (`fastapi<0.151`, `prefect==3.8.8`). In prose, a
version stands between two comments: `Prefect <!-- pin: prefect -->3.8.8<!-- end -->`.
"""

from __future__ import annotations

import re

from images.family import ROOT, read

PLACES = ("README.md", "docs/*.md", "docs/[!a]*/*.md", "examples/*/README.md", "images/*/README.md")
"""Decisions (`docs/adr`) are left out: their versions are those of their day."""
PINS = read().pins
NAMES = "|".join(sorted(PINS, key=len, reverse=True))
REQUIREMENT = re.compile(rf"(?<![\w-])(?P<name>{NAMES})(?:==|<)[0-9][0-9.]*[0-9]")
PROSE = re.compile(r"(?P<before><!-- pin: (?P<name>[\w-]+) -->)[^<]*(?P<after><!-- end -->)")


def pinned_pages() -> set[str]:
    """The pages whose versions are generated."""
    return {str(path.relative_to(ROOT)) for place in PLACES for path in ROOT.glob(place)}


def pinned(text: str) -> str:
    """A page's text with the versions of the family."""
    text = REQUIREMENT.sub(lambda match: match["name"] + PINS[match["name"]], text)
    return PROSE.sub(lambda match: match["before"] + PINS[match["name"]].lstrip("=<") + match["after"], text)


def images() -> str:
    """The images of the family as a Markdown table, those for projects first."""
    family = read()
    for_projects_first = sorted(family.images.values(), key=lambda image: image.parent is None)
    rows = [f"| `prefect-uv:{one.name}` | {one.description} | `make build/{one.name}` |" for one in for_projects_first]
    return "\n".join(["| Tag | What it is | Build it with |", "| --- | --- | --- |", *rows])
