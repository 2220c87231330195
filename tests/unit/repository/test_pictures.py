"""The pictures of the documentation are up to date where a program draws them, and every one is of use to readers."""

from __future__ import annotations

import re

from docs import picture, ways
from images.family import ROOT
from tests.pages import pages

SHOWN = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
LARGEST = 120_000
FOLDER = ROOT / "docs" / "pictures"
"""What `make screenshots` writes."""
PICTURES = [
    ((ROOT / page).parent / shown["target"], shown["text"])
    for page in pages()
    for shown in SHOWN.finditer((ROOT / page).read_text())
]


def test_pictures_exist_and_say_what_they_show() -> None:
    """Every picture of a page is a file of the repository, and has a text for those who cannot see it."""
    assert len(PICTURES) > 5
    assert [str(path) for path, _ in PICTURES if not path.is_file()] == []
    assert [str(path) for path, text in PICTURES if len(text.split()) < 4] == []


def test_screenshots_are_shown_and_small() -> None:
    """No screenshot is left over, and a page with several of them loads quickly."""
    screenshots = sorted(FOLDER.iterdir())
    assert set(screenshots) == {path.resolve() for path, _ in PICTURES if path.parent.resolve() == FOLDER}
    assert [path.name for path in screenshots if path.stat().st_size > LARGEST] == []


def test_picture_is_drawn_from_the_recorded_demo() -> None:
    """`make picture` has been run since the demo was recorded."""
    assert picture.draw(picture.lines(picture.RECORDED.read_text())) == picture.PICTURE.read_text()


def test_picture_of_the_ways_is_drawn() -> None:
    """`make picture` has been run since its texts were changed."""
    assert ways.draw() == ways.PICTURE.read_text()
