"""Tags and the page of the images."""

from __future__ import annotations

from datetime import date

from images.release.contents import Contents, Package, tags

FACTS = {"name": "py313-slim", "version": "1.2.0", "uv": "0.13.9", "prefect": "3.9.1"}


def test_tags_of_a_flavour() -> None:
    """Each tag begins with the image's name, but for the one with the version, which is first."""
    assert tags(Contents(FACTS, "13", [], []), date(2026, 11, 7)) == [
        "1.2.0-py313-slim",
        "py313-slim",
        "py313-slim-uv0.13.9",
        "py313-slim-prefect3.9",
        "py313-slim-20261107",
    ]


def test_contents_of_the_tool() -> None:
    """The tool image has the program with its packages, uv and tini of what the base has."""
    debian = [Package("tini", "0.19", architecture="amd64"), Package("git", "2", architecture="amd64")]
    python = [
        Package("websockets", "17", environment="/opt/prefect-uv"),
        Package("uv", "0.13.9", environment="/usr/local/bin"),
        Package("prefect-client", "3.9.0", environment="/opt/prefect-client"),
    ]
    tool = Contents(FACTS, "13", debian, python).of_tool("tool")
    assert [package.name for package in (*tool.debian, *tool.python)] == ["tini", "websockets", "uv"]
    assert tool.facts["name"] == "tool"
