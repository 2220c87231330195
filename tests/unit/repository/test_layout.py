"""The layout of the program: imports in one direction, small folders, one meaning for each name."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from images.family import ROOT

PACKAGE = ROOT / "entrypoint" / "src" / "prefect_uv"
LAYERS = (
    {"__init__", "errors", "package_names", "shapes", "urls", "command_line"},
    {"image_facts", "processes", "log"},
    {"settings"},
    {"api", "cache_volume", "project", "options"},
    {"git_access", "registry"},
    {"environments"},
    {"pull", "project_code", "read_only_root"},
    {"start_ending"},
    {"session"},
    {"record"},
    {"start"},
    {"bake", "engine", "templates"},
    {"commands", "preparation"},
    {"bundles", "deployments"},
    {"forecast"},
    {"recipe"},
    {"__main__"},
)
MOST_MODULES = 13
SCRIPTS = {"main", "__all__"}
"""Several modules may define these: `main` is a script's function, `__all__` a package's exports."""

OLD_WORDS = re.compile(
    r"\b(?:shelf|keeper|mend|mended|mends|belongs into|counts more than|excludes? each other|has not what|"
    r"files of peace|forbids to)\b",
    re.IGNORECASE,
)
"""Words that were replaced in the whole repository."""
TEXTS = ("*.py", "*.md", "*.toml", "Makefile", "Dockerfile*")
OLD_WORDS_ALLOWED = ("CHANGELOG.md", "docs/adr", "tests/unit/repository/test_layout.py")


def modules() -> list[Path]:
    """Every module of the program."""
    return sorted(PACKAGE.rglob("*.py"))


def top_level(name: str) -> str:
    """The package or module directly below `prefect_uv` that a dotted name belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(module: Path) -> Iterator[str]:
    """Yield the modules of `prefect_uv` that a module imports, at the top or in a function."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "prefect_uv":
            yield str(node.module)


def defined(module: Path) -> Iterator[str]:
    """Yield the functions, classes and constants that a module defines."""
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
            if top_level(name) != here and height[top_level(name)] >= height[here]
        ]
    assert wrong == []


def test_folders_are_small() -> None:
    """No folder has more than about a dozen modules."""
    sizes = Counter(module.parent.relative_to(PACKAGE) for module in modules() if module.name != "__init__.py")
    assert {str(folder): size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_only_the_log_writes() -> None:
    """All output passes through the mask: whatever else writes has no secret, or passes on what the engine prints."""
    writing = re.compile(r"print|sys\.(?:__)?std(?:out|err)(?:__)?|os\.writev?")
    names = {
        str(module.relative_to(PACKAGE)): {
            ast.unparse(node)
            for node in ast.walk(ast.parse(module.read_text()))
            if isinstance(node, ast.Name | ast.Attribute)
        }
        for module in modules()
    }
    writers = {module for module, used in names.items() if any(map(writing.fullmatch, used))}
    children = {"engine/_run_hooks.py", "engine/_run_module.py", "pull/_perform_step.py"}
    assert writers - children == {
        "__main__.py",  # the help
        "commands/pip.py",  # its own arguments, without the credentials of addresses
        "command_line.py",  # a command that does not exist, before anything is known
        "engine/engine_process.py",  # what the engine prints
        "log/run_log.py",
        "start.py",  # SIGUSR1
    }


def test_packages_say_what_they_are_for() -> None:
    """Each package has a docstring."""
    folders = {module.parent for module in modules()}
    undocumented = [
        str(folder) for folder in folders if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    ]
    assert undocumented == []


def test_names_have_one_meaning() -> None:
    """No two modules, functions, classes or constants of the program have the same name."""
    owners: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        path = str(module.relative_to(PACKAGE))
        if module.stem != "__init__":
            owners[f"{module.stem}.py"].append(path)
        for name in set(defined(module)) - SCRIPTS:
            owners[name].append(path)
    assert {name: paths for name, paths in owners.items() if len(paths) > 1} == {}


def test_contributing_names_every_package() -> None:
    """Every path in CONTRIBUTING.md exists, and its map names every package of the program."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    words = set(re.findall(r"`([\w./-]+)`", text))
    paths = {word for word in words if re.match(r"(?:entrypoint|tests|docs|images|requirements)/", word)}
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    packages = {f"{folder.name}/" for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()}
    assert packages - words == set()


def test_old_words_stay_away() -> None:
    """No committed text uses a word that was replaced; the changelog and decisions may quote them."""
    patterns = [*TEXTS, *(f":(exclude){path}" for path in OLD_WORDS_ALLOWED)]
    command = ["git", "ls-files", "-z", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=30).stdout
    texts = {name: (ROOT / name).read_text() for name in listed.split("\0") if name and (ROOT / name).is_file()}
    assert {"Makefile", "README.md", "Dockerfile.base"} <= texts.keys()
    uses = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if OLD_WORDS.search(line)
    ]
    assert uses == []
