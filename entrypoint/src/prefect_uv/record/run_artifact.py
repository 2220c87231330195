"""The record as an artifact of the flow run: Markdown with a table and a bar for each phase, on the run's page.

Prefect 3.9.1: https://docs.prefect.io/v3/concepts/artifacts; a key has lower-case letters, digits and dashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prefect_uv.api.client import Json

ARTIFACT_KEY = "prefect-uv-start"
BAR_WIDTH = 40
EIGHTHS = " ▏▎▍▌▋▊▉"
SHOWN_DIGITS = 12


def artifact_of(document: Json, flow_run_id: str) -> Json:
    """The artifact of a record, for a request to the API."""
    return {
        "key": ARTIFACT_KEY,
        "type": "markdown",
        "description": f"What this run was started from, and how long that took: {_headline(document)}",
        "data": artifact_text(document),
        "flow_run_id": flow_run_id,
    }


def artifact_text(document: Json) -> str:
    """The record in Markdown."""
    rows = [f"| {name} | {_cell(value)} |" for name, value in _facts(document) if value]
    phases = document["phases"]
    longest = max(phases.values(), default=0.0)
    width = max(map(len, phases), default=0)
    bars = [f"{name:<{width}} {ms:9.0f} ms  {_bar(ms, longest)}".rstrip() for name, ms in phases.items()]
    table = "\n".join(["| | |", "| --- | --- |", *rows])
    return f"# {_headline(document)}\n\n{table}\n\n```text\n" + "\n".join(bars) + "\n```\n"


def _headline(document: Json) -> str:
    if document["outcome"] != "started":
        return f"{document['outcome']} after {document['total']:.0f} ms"
    environment = document["environment"] or {}
    return f"ready in {document['total']:.0f} ms, {'hit' if environment.get('hit') else 'miss'}"


def _facts(document: Json) -> Iterator[tuple[str, str]]:
    """The rows of the table; one without a value is left out."""
    error, run = document["error"] or {}, document["flow_run"] or {}
    slug = f"error[{error['slug']}]: " if error.get("slug") else ""
    yield "Error", f"{slug}{error['headline']}" if error else ""
    yield "Flow run", f"{run.get('name') or ''} `{run.get('id')}`" if run else ""
    deployment = document["deployment"] or {}
    yield "Deployment", f"{deployment.get('name')} `{deployment.get('entrypoint')}`" if deployment else ""
    for source in document["code"]:
        yield "Code", f"{source['remote'] or ''} `{source['commit']}`" if source["commit"] else source["remote"] or ""
    project = document["project"]
    yield "Project", f"{project['name']} ({project['shape']}) {_quoted_words(project['selection'])}" if project else ""
    yield from _environment_facts(document["environment"])
    policy = document["policy"]
    violations = [f"{one['package']} {one['version']} {one['text']}" for one in (policy or {}).get("violations", ())]
    yield "Policy", f"{policy['mode']}: {'; '.join(violations) or 'nothing is wrong'}" if policy else ""
    image = document["image"]
    yield "Image", f"{image['name']} {image['version']} with uv {image['uv']}"
    yield "Image reference", image["reference"] or ""
    yield "Host", document["host"]
    yield "Received", f"{document['received'] / 1e6:.1f} MB" if document["received"] is not None else ""


def _environment_facts(environment: Json | None) -> Iterator[tuple[str, str]]:
    if environment is None:
        return
    yield "Environment", f"{'hit' if environment['hit'] else 'miss'} `{environment['key'][:SHOWN_DIGITS]}`"
    yield "Why", environment["why"]
    digest = environment["packages_digest"].partition(":")[2][:SHOWN_DIGITS]
    yield "Packages", f"{environment['packages']}, digest `{digest}`"
    yield "Python, Prefect", f"{environment['python']}, {environment['prefect']}"


def _bar(milliseconds: float, longest: float) -> str:
    """A bar whose length is the share of the longest phase, to an eighth of a character."""
    eighths = round(milliseconds / longest * BAR_WIDTH * 8) if longest else 0
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _quoted_words(words: list[str]) -> str:
    return f"`{' '.join(words)}`" if words else ""


def _cell(value: Any) -> str:
    """A text that stays in one cell of a table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
