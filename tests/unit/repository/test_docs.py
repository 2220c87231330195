"""The documentation is complete and consistent, and every block of commands is tested or says why not."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from images.family import ROOT
from prefect_uv.errors import PrefectUvError
from prefect_uv.settings import Settings
from tests.pages import Block, blocks, pages

COMMANDS = {"sh", "dockerfile", "jq"}
DATA: Mapping[str, Callable[[str], Any]] = {
    "json": json.loads,
    "python": ast.parse,
    "toml": tomllib.loads,
    "yaml": YAML(typ="safe").load,
}
OUTPUT = {"text", "log"}
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LIST_ITEM = re.compile(r"\s*([-*]|\d+\.) ")
OWN = re.compile(r"\bPREFECT_UV_[A-Z_]*[A-Z]\b")
TEST_VARIABLES = {"PREFECT_UV_TEST_FULL"}
RUN = re.compile(r"prefect deployment run ([\w-]+/[\w-]+)")
TESTS = [path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py"))]
PAGES = pages()
BLOCKS = [block for page in PAGES for block in blocks(page)]


def test_every_block_has_a_language() -> None:
    """Every block is commands, data that a test parses, or output; none is indented, because it could not say which."""
    assert [str(block) for block in BLOCKS if block.language not in COMMANDS | set(DATA) | OUTPUT] == []
    assert [(page, block) for page in PAGES for block in _indented(page)] == []


def _indented(page: str) -> list[str]:
    paragraphs = [part for part in re.split(r"\n\s*\n", _prose(page)) if part.strip()]
    pairs = zip(["", *paragraphs], paragraphs, strict=False)
    return [part for before, part in pairs if part.startswith("    ") and not LIST_ITEM.match(before)]


def test_commands_are_run_or_say_why_not() -> None:
    """Each block names a test that takes it from the page, gives a reason, or is a file that is tested."""
    assert [str(block) for block in BLOCKS if block.language in COMMANDS and not _is_explained(block)] == []


def _is_explained(block: Block) -> bool:
    kind, text = block.mark or ("", "")
    if kind == "run":
        page = "tests.examples.examples" if block.page.startswith("examples/") else block.page
        return any(f"def {text}(" in code and page in code for code in TESTS)
    if kind == "generated":
        return any((folder / text).is_file() for folder in (ROOT, (ROOT / block.page).parent))
    return kind == "not run" and len(text.split()) > 2


def test_marks_name_tests_that_exist() -> None:
    """Every test that a mark names exists: above commands, above data, and in reasons."""
    marks = [block.mark[1] for block in BLOCKS if block.mark and block.mark[0] != "generated"]
    named = {name for mark in marks for name in re.findall(r"\btest_\w+", mark.replace("/test_", " "))}
    assert {name for name in named if not any(f"def {name}(" in code for code in TESTS)} == set()


def test_data_is_well_formed() -> None:
    """Data that a reader copies into a file can be parsed."""
    assert [str(block) for block in BLOCKS if block.language in DATA and not _is_parsed(block)] == []


def _is_parsed(block: Block) -> bool:
    try:
        return DATA[block.language](block.text) is not None
    except (SyntaxError, ValueError, YAMLError):
        return False


def test_settings_in_job_variables_are_accepted() -> None:
    """Every `env` on a page has strings as values, and prefect-uv accepts its own settings among them."""
    assert [str(block) for block in BLOCKS if block.language == "yaml" and not _is_accepted(block)] == []


def _is_accepted(block: Block) -> bool:
    for variables in _environments(DATA["yaml"](block.text)):
        own = {name: value for name, value in variables.items() if OWN.fullmatch(name) and "{{" not in str(value)}
        try:
            Settings.from_environ(own)
        except PrefectUvError:
            return False
        if not all(isinstance(value, str) for value in variables.values()):
            return False
    return True


def _environments(data: Any) -> Iterator[dict[str, Any]]:
    """Yield each mapping called `env` at any depth."""
    if isinstance(data, dict):
        if isinstance(data.get("env"), dict):
            yield data["env"]
        data = list(data.values())
    if isinstance(data, list):
        for value in data:
            yield from _environments(value)


def test_settings_that_pages_name_exist() -> None:
    """Pages name no setting that was renamed or removed."""
    declared = {name for item in Settings.__dataclass_fields__.values() for name in item.metadata.get("names", ())}
    named = {(page, name) for page in PAGES for name in OWN.findall((ROOT / page).read_text())}
    assert {(page, name) for page, name in named if name not in declared | TEST_VARIABLES} == set()


def test_links_resolve() -> None:
    """Relative links lead to a file or folder of the repository, and `#…` to a heading there."""
    assert [(page, target) for page in PAGES for target in _links(page) if not _resolves(page, target)] == []


def _links(page: str) -> list[str]:
    return [match["target"] for match in LINK.finditer(_prose(page)) if "://" not in match["target"]]


def _resolves(page: str, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (ROOT / page).parent / name if name else ROOT / page
    return path.exists() and (not anchor or anchor in _anchors(path.resolve()))


@cache
def _anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = HEADING.findall(FENCED.sub("", path.read_text()))
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def _prose(page: str) -> str:
    return FENCED.sub("", (ROOT / page).read_text())


def test_index_is_complete() -> None:
    """docs/README.md links to every other page below docs/."""
    linked = {(ROOT / "docs" / target).resolve() for target in _links("docs/README.md")}
    missing = [page for page in PAGES if page.startswith("docs/") and (ROOT / page).resolve() not in linked]
    assert missing == ["docs/README.md"]


def test_pages_have_their_own_deployments() -> None:
    """No two pages use the same deployment, which they would overwrite. An example runs exactly what it deploys."""
    owners: dict[str, str] = {}
    for block in BLOCKS:
        for name in {*RUN.findall(block.text), *_deployments(block)}:
            assert owners.setdefault(name, block.page) == block.page, name
    for page in PAGES:
        text = "".join(block.text for block in blocks(page))
        if page.startswith("examples/"):
            assert set(RUN.findall(text)) == {name for name, owner in owners.items() if owner == page}


def _deployments(block: Block) -> set[str]:
    """The full names of the deployments in a prefect.yaml on a page."""
    data = DATA["yaml"](block.text) if block.language == "yaml" else None
    deployments = data.get("deployments", []) if isinstance(data, dict) else []
    return {f"{item['entrypoint'].rpartition(':')[2]}/{item['name']}" for item in deployments}
