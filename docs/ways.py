"""Draw the README's picture of the three ways in which runs get their environments, as SVG.

`make picture` writes `docs/ways.svg`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

PICTURE = Path(__file__).parent / "ways.svg"
WIDTH, MARGIN, ROW, HEAD, GAP = 960, 20, 176, 62, 62
BOX_WIDTH, BOX_HEIGHT, ROUND = 185, 76, 6
PAPER, INK, DIM, LINE, PLAIN = "#ffffff", "#1f2328", "#59636e", "#8b949e", "#f6f8fa"
COLOURS = ("#1f6feb", "#9a6700", "#1a7f37")
TINTS = ("#ddf4ff", "#fff8c5", "#dafbe1")
"""Each way has a colour; the box that holds the environment is filled with its tint."""
FONT = "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Box:
    """A place: its heading, and what is there; `holds` says that environments are kept there."""

    heading: str
    lines: tuple[str, ...]
    holds: bool = False


@dataclass(frozen=True)
class Way:
    """A row of the picture; the arrows lead from each box to the next, and have these texts."""

    title: str
    summary: str
    boxes: tuple[Box, ...]
    arrows: tuple[str, ...]


WAYS = (
    Way(
        "1  Git and a volume",
        "Nobody builds an image. The first run with a lockfile builds its environment, later ones find it.",
        (
            Box("You", ("push the flow,", "pyproject.toml, uv.lock")),
            Box("Git", ("the code and the lockfile",)),
            Box("Run", ("prefect-uv:py313",)),
            Box("Cache volume", ("one environment", "per lockfile"), holds=True),
        ),
        ("push", "pull", "share"),
    ),
    Way(
        "2  Baked in CI",
        "The environment is in an image of the project. A run needs neither a volume nor a package index.",
        (
            Box("Git", ("the code and the lockfile",)),
            Box("CI", ("a Dockerfile with", "RUN prefect-uv bake")),
            Box("Registry", ("the project's image,", "with the environment"), holds=True),
            Box("Run", ("the project's image,", "with the code from git")),
        ),
        ("pull", "push", "pull"),
    ),
    Way(
        "3  Environments by digest",
        "The environment alone is an image, mounted into ours. What CI tested and signed is what runs.",
        (
            Box("Git", ("the code and the lockfile",)),
            Box("CI", ("prefect-uv export,", "one image per lockfile")),
            Box("Registry", ("team/etl@sha256:bbfb…", "layers that projects share"), holds=True),
            Box("Run", ("prefect-uv:py313, with", "the environment mounted")),
        ),
        ("pull", "push", "mount"),
    ),
)


def draw(ways: tuple[Way, ...] = WAYS) -> str:
    """The picture: a row for each way."""
    height = ROW * len(ways) + MARGIN
    size = {"width": str(WIDTH), "height": str(height), "viewBox": f"0 0 {WIDTH} {height}"}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "font-family": FONT})
    ET.SubElement(svg, "title").text = "Three ways in which runs get their environments"
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "rx": str(ROUND), "fill": PAPER})
    for number, way in enumerate(ways):
        _draw_way(svg, MARGIN + ROW * number, way, COLOURS[number], TINTS[number])
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _draw_way(svg: ET.Element, y: int, way: Way, colour: str, tint: str) -> None:
    _draw_text(svg, MARGIN, y + 18, way.title, {"font-size": "16", "font-weight": "bold", "fill": colour})
    _draw_text(svg, MARGIN, y + 40, way.summary, {"font-size": "13", "fill": DIM})
    for number, box in enumerate(way.boxes):
        x = MARGIN + number * (BOX_WIDTH + GAP - 2)
        _draw_box(svg, x, y + HEAD, box, (tint, colour) if box.holds else (PLAIN, LINE))
        if number < len(way.arrows):
            _draw_arrow(svg, x + BOX_WIDTH, y + HEAD + BOX_HEIGHT // 2, way.arrows[number])


def _draw_box(svg: ET.Element, x: int, y: int, box: Box, colours: tuple[str, str]) -> None:
    fill, stroke = colours
    place = {"x": str(x), "y": str(y), "width": str(BOX_WIDTH), "height": str(BOX_HEIGHT), "rx": str(ROUND)}
    ET.SubElement(svg, "rect", {**place, "fill": fill, "stroke": stroke})
    _draw_text(svg, x + 12, y + 24, box.heading, {"font-size": "14", "font-weight": "bold", "fill": INK})
    for number, line in enumerate(box.lines):
        _draw_text(svg, x + 12, y + 44 + 18 * number, line, {"font-size": "12.5", "fill": INK})


def _draw_arrow(svg: ET.Element, x: int, y: int, text: str) -> None:
    """An arrow from the right edge of a box to the next box, with a word above it."""
    start, end = x + 6, x + GAP - 8
    ET.SubElement(svg, "path", {"d": f"M{start} {y}H{end}", "stroke": DIM, "stroke-width": "1.5"})
    ET.SubElement(svg, "path", {"d": f"M{end - 7} {y - 4}L{end} {y}L{end - 7} {y + 4}", "fill": "none", "stroke": DIM})
    middle = {"font-size": "12", "fill": DIM, "text-anchor": "middle"}
    _draw_text(svg, (start + end) / 2, y - 8, text, middle)


def _draw_text(svg: ET.Element, x: float, y: float, text: str, attributes: dict[str, str]) -> None:
    ET.SubElement(svg, "text", {"x": f"{x:g}", "y": f"{y:g}", **attributes}).text = text


if __name__ == "__main__":
    PICTURE.write_text(draw())
