"""A chart of stacked bars as SVG: how long each segment of a start takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

WIDTH, LEFT, ROW, BAR, HEAD = 960, 330, 24, 16, 60
COLOURS = ("#4e79a7", "#f28e2b", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#9c9c9c", "#bab0ac", "#d9d4d0")


@dataclass(frozen=True)
class Bar:
    """The bar of a variant in a case; `segments` are seconds by name, from left to right."""

    case: str
    variant: str
    segments: Mapping[str, float]


def plot(bars: Sequence[Bar]) -> str:
    """The chart, with a heading for each case."""
    names = list(dict.fromkeys(name for bar in bars for name in bar.segments))
    colours = dict(zip(names, (COLOURS * len(names))[: len(names)], strict=True))
    cases = list(dict.fromkeys(bar.case for bar in bars))
    height = HEAD + ROW * (len(bars) + len(cases))
    scale = (WIDTH - LEFT - 60) / max(sum(bar.segments.values()) for bar in bars)
    size = {"width": str(WIDTH), "height": str(height), "viewBox": f"0 0 {WIDTH} {height}"}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "font-family": "sans-serif"})
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "white"})
    _draw_legend(svg, colours)
    y = HEAD
    for case in cases:
        _draw_text(svg, 10, y + BAR - 3, case, {"font-weight": "bold"})
        y += ROW
        for bar in (bar for bar in bars if bar.case == case):
            _draw_bar(svg, y, bar, colours, scale)
            y += ROW
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _draw_bar(svg: ET.Element, y: int, bar: Bar, colours: Mapping[str, str], scale: float) -> None:
    _draw_text(svg, 30, y + BAR - 3, bar.variant, {})
    x = float(LEFT)
    for name, seconds in bar.segments.items():
        width = max(seconds, 0) * scale
        shape = {"x": f"{x:.1f}", "y": str(y), "width": f"{width:.1f}", "height": str(BAR)}
        segment = ET.SubElement(svg, "rect", {**shape, "fill": colours[name]})
        ET.SubElement(segment, "title").text = f"{name}: {seconds:.2f} s"
        x += width
    _draw_text(svg, x + 6, y + BAR - 3, f"{sum(bar.segments.values()):.2f} s", {})


def _draw_legend(svg: ET.Element, colours: Mapping[str, str]) -> None:
    x = 10
    for name, colour in colours.items():
        ET.SubElement(svg, "rect", {"x": str(x), "y": "14", "width": "12", "height": "12", "fill": colour})
        _draw_text(svg, x + 16, 25, name, {})
        x += 30 + 7 * len(name)
    _draw_text(svg, 10, 48, "seconds since the container's start; medians", {"fill": "#666"})


def _draw_text(svg: ET.Element, x: float, y: float, text: str, attributes: Mapping[str, str]) -> None:
    ET.SubElement(svg, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": "12", **attributes}).text = text
