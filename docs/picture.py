"""Draw the README's picture: a terminal with the saved output of `make demo`, as SVG.

`make picture` writes `docs/demo.svg` from `docs/demo.txt`. To refresh both, run `make demo > docs/demo.txt` first.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parent
RECORDED = ROOT / "demo.txt"
PICTURE = ROOT / "demo.svg"
COLUMNS, ROW, CHARACTER, MARGIN, BAR = 124, 18, 7.8, 16, 32
BACKGROUND, FOREGROUND, DIM = "#16181d", "#d7dae0", "#8b93a1"
LIGHTS = ("#ff5f57", "#febc2e", "#28c840")
COLOURS = (
    (re.compile(r"^\$ "), "#ffffff"),
    (re.compile(r"^(Cold|Warm): |^milliseconds"), "#7cb7ff"),
    (re.compile(r"\(miss |\bmiss\b.*\bhit\b"), "#f5c16c"),
    (re.compile(r"\(hit |^Both runs completed"), "#8fd694"),
    (re.compile(r"^    prefect_uv"), FOREGROUND),
    (re.compile(r"^    flow_runs"), FOREGROUND),
)
"""A line has the colour of the first expression that matches it; all other lines are dim."""
HEADINGS = re.compile(r"^(Cold: |Warm: |milliseconds|Both runs)")
LOG_LINE = re.compile(r"^    prefect_uv \| (flow run|look|environment|ready)|^    flow_runs  \| (Python|An hour)")
TABLE_LINE = re.compile(r"^    \w[\w ]+$")


def lines(recorded: str) -> list[str]:
    """The excerpt to draw: what prefect-uv did, two lines of the flow, and the table."""
    excerpt = ["$ make demo"]
    for line in recorded.splitlines():
        if HEADINGS.match(line):
            excerpt += ["", line]
        elif LOG_LINE.match(line) or TABLE_LINE.match(line):
            excerpt.append(line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…")
    return excerpt


def draw(excerpt: list[str]) -> str:
    """An SVG image of a window with these lines."""
    width, height = round(2 * MARGIN + COLUMNS * CHARACTER), BAR + 2 * MARGIN + ROW * len(excerpt)
    size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size})
    ET.SubElement(svg, "title").text = "The output of make demo"
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "rx": "8", "fill": BACKGROUND})
    for number, light in enumerate(LIGHTS):
        ET.SubElement(svg, "circle", {"cx": str(20 + 20 * number), "cy": "18", "r": "6", "fill": light})
    font = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    text = ET.SubElement(svg, "g", {"font-family": font, "font-size": "13"})
    for number, line in enumerate(excerpt):
        position = {"x": str(MARGIN), "y": str(BAR + MARGIN + ROW * number + 4), "fill": _colour(line)}
        length = {"textLength": f"{len(line) * CHARACTER:.0f}"} if line else {}
        row = ET.SubElement(text, "text", {"xml:space": "preserve", **position, **length})
        row.text = line
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _colour(line: str) -> str:
    return next((colour for expression, colour in COLOURS if expression.search(line)), DIM)


if __name__ == "__main__":
    PICTURE.write_text(draw(lines(RECORDED.read_text())))
