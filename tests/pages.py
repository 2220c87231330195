"""The pages of the documentation and their code blocks, so that tests run what the pages say.

A block of commands stands under a comment that says who runs it:

    <!-- run: test_name -->            this test takes the block from the page
    <!-- not run: the reason -->       nobody does, and why
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from images.family import ROOT, read

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
PUBLISHED, BUILT = f"{read().published}:", "prefect-uv:"
"""The images' name in the pages, once they are published, and as tests build them."""
MARK = re.compile(r"<!-- (?P<kind>run|not run|generated): (?P<text>.+?) -->\s*\Z")
PLACES = ("*.md", "docs/**/*.md", "examples/*/README.md", "images/*/README.md")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: the page's path from the root of the repository.
        line: where it begins.
        language: what stands behind the fence.
        text: its lines, without the indentation of a list item.
        mark: the comment directly above as its kind (`run`, `not run`, `generated`) and its text; None without one.
    """

    page: str
    line: int
    language: str
    text: str
    mark: tuple[str, str] | None

    def __str__(self) -> str:
        """Where it is, as editors understand it."""
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """All pages, as paths from the root of the repository."""
    return sorted(str(path.relative_to(ROOT)) for place in PLACES for path in ROOT.glob(place))


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, in their order."""
    content = (ROOT / page).read_text()
    for match in FENCE.finditer(content):
        above = content[: match.start()]
        mark = MARK.search(above)
        text = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE).replace(PUBLISHED, BUILT)
        kind = (mark["kind"], mark["text"]) if mark else None
        yield Block(page, above.count("\n") + 1, match["language"], text, kind)


def run_by(test: str, page: str) -> list[str]:
    """The texts of the page's blocks that this test runs.

    Raises:
        AssertionError: if there are none.
    """
    found = [block.text for block in blocks(page) if block.mark == ("run", test)]
    assert found, f"{page} has no block that {test} runs"
    return found
