"""Stacked bars as SVG: how long each part of a start takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

WIDTH, LEFT, ROW, BAR, HEAD = 960, 330, 24, 16, 60
COLOURS = ("#4e79a7", "#f28e2b", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#9c9c9c", "#bab0ac", "#d9d4d0")


@dataclass(frozen=True)
class Bar:
    """One row: seconds of each part, in their order."""

    case: str
    name: str
    parts: Mapping[str, float]


def plot(bars: Sequence[Bar]) -> str:
    """The picture."""
    names = list(dict.fromkeys(name for bar in bars for name in bar.parts))
    colours = dict(zip(names, (COLOURS * len(names))[: len(names)], strict=True))
    cases = list(dict.fromkeys(bar.case for bar in bars))
    height = HEAD + ROW * (len(bars) + len(cases))
    scale = (WIDTH - LEFT - 60) / max(sum(bar.parts.values()) for bar in bars)
    size = {"width": str(WIDTH), "height": str(height), "viewBox": f"0 0 {WIDTH} {height}"}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "font-family": "sans-serif"})
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "white"})
    _legend(svg, colours)
    row = HEAD
    for case in cases:
        _text(svg, 10, row + BAR - 3, case, {"font-weight": "bold"})
        row += ROW
        for bar in (bar for bar in bars if bar.case == case):
            _bar(svg, row, bar, colours, scale)
            row += ROW
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _bar(svg: ET.Element, row: int, bar: Bar, colours: Mapping[str, str], scale: float) -> None:
    _text(svg, 30, row + BAR - 3, bar.name, {})
    place = float(LEFT)
    for name, seconds in bar.parts.items():
        width = max(seconds, 0) * scale
        shape = {"x": f"{place:.1f}", "y": str(row), "width": f"{width:.1f}", "height": str(BAR)}
        part = ET.SubElement(svg, "rect", {**shape, "fill": colours[name]})
        ET.SubElement(part, "title").text = f"{name}: {seconds:.2f} s"
        place += width
    _text(svg, place + 6, row + BAR - 3, f"{sum(bar.parts.values()):.2f} s", {})


def _legend(svg: ET.Element, colours: Mapping[str, str]) -> None:
    place = 10
    for name, colour in colours.items():
        ET.SubElement(svg, "rect", {"x": str(place), "y": "14", "width": "12", "height": "12", "fill": colour})
        _text(svg, place + 16, 25, name, {})
        place += 30 + 7 * len(name)
    _text(svg, 10, 48, "seconds since the container's start; medians", {"fill": "#666"})


def _text(svg: ET.Element, x: float, y: float, text: str, more: Mapping[str, str]) -> None:
    ET.SubElement(svg, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": "12", **more}).text = text
