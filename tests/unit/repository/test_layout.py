"""The layout of the program: one direction of imports, folders that can be read at a glance, one meaning for a name."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from images.family import ROOT

PACKAGE = ROOT / "entrypoint" / "src" / "prefect_uv"
LAYERS = (
    {"__init__", "errors", "package_names", "urls", "background_import", "command_line"},
    {"image_facts", "processes", "log"},
    {"settings"},
    {"api", "cache_volume", "project"},
    {"environments"},
    {"pull", "project_code"},
    {"start_ending"},
    {"session"},
    {"bake", "engine"},
    {"commands", "preparation"},
    {"recipe"},
    {"__main__"},
)
MOST_MODULES = 13
SCRIPTS = {"main", "__all__"}
"""`main` is what a script runs, `__all__` what a package shows."""


def modules() -> list[Path]:
    """Every module of the program."""
    return sorted(PACKAGE.rglob("*.py"))


def room(name: str) -> str:
    """The package or top-level module below `prefect_uv` that a dotted name leads to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(module: Path) -> Iterator[str]:
    """The dotted names of ours that a module imports, at the top or in a function."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "prefect_uv":
            yield str(node.module)


def named(module: Path) -> Iterator[str]:
    """The functions, classes and constants that a module defines."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_imports_go_one_way() -> None:
    """A module imports only from its own package and from lower layers."""
    height = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    wrong = []
    for module in modules():
        here = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
        wrong += [
            f"{module.relative_to(PACKAGE)} imports {name}"
            for name in imported(module)
            if room(name) != here and height[room(name)] >= height[here]
        ]
    assert wrong == []


def test_folders_are_small() -> None:
    """A folder has about a dozen modules at most."""
    sizes = Counter(module.parent.relative_to(PACKAGE) for module in modules() if module.name != "__init__.py")
    assert {str(folder): size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_packages_say_what_they_are_for() -> None:
    """Each package has a docstring."""
    folders = {module.parent for module in modules()}
    silent = [
        str(folder) for folder in folders if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    ]
    assert silent == []


def test_names_have_one_meaning() -> None:
    """No module name and no function, class or constant stands twice in the program."""
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        path = str(module.relative_to(PACKAGE))
        if module.stem != "__init__":
            places[f"{module.stem}.py"].append(path)
        for name in set(named(module)) - SCRIPTS:
            places[name].append(path)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_map_is_true() -> None:
    """Every path that CONTRIBUTING.md names exists, and every package of the program is on its map."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    words = set(re.findall(r"`([\w./-]+)`", text))
    paths = {word for word in words if re.match(r"(?:entrypoint|tests|docs|images|requirements)/", word)}
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    packages = {f"{folder.name}/" for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()}
    assert packages - words == set()
