"""What hatchling's editable wheel puts on the import path, which is what its wheel would contain.

hatchling 1.27 to 1.31: `build_editable` and `default_file_selection_options` of
https://github.com/pypa/hatch/blob/hatchling-v1.27.0/backend/src/hatchling/builders/wheel.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from prefect_uv.project.files.toml_tables import Table, read_toml, strings, table_at
from prefect_uv.project.layout.layout import SRC, Layout, is_present

_MODULES = (".py", ".so")


def hatchling_layout(directory: Path, document: Table) -> Layout:
    """The layout by the settings for the wheel, or for all targets; by the project's name if there are none."""
    build = table_at({**table_at(document, "tool", "hatch"), **read_toml(directory / "hatch.toml")}, "build")
    wheel = table_at(build, "targets", "wheel")
    hooks = [*table_at(build, "hooks"), *table_at(wheel, "hooks")]
    if hooks:
        return Layout(build_reason=f"it has hatchling's build hook {hooks[0]}")
    settings = {**build, **wheel}
    included = _moved(table_at(settings, "force-include"), directory)
    if exact := strings(settings.get("dev-mode-dirs")):
        return Layout.of_mapping(included, exact)
    packages = [str(PurePosixPath(path).parent) for path in strings(settings.get("packages"))]
    layout = Layout.of_mapping([*_sources(settings.get("sources")), *included], packages)
    if layout.roots or layout.build_reason:
        return layout
    selected = any(strings(settings.get(key)) for key in ("include", "only-include"))
    return Layout((".",) if selected else _default(directory, document))


def _sources(sources: object) -> list[tuple[object, object]]:
    """What is stripped from the beginning of paths, or replaced there."""
    if isinstance(sources, Mapping):
        return list(sources.items())
    return [(source, "") for source in strings(sources)]


def _moved(pairs: Table, directory: Path) -> list[tuple[object, object]]:
    """Those of the files and directories to include that may contain modules; data alone is not imported."""
    return [
        (path, target)
        for path, target in pairs.items()
        if str(target).endswith(_MODULES) or (is_present(directory / path) and any((directory / path).rglob("*.py")))
    ]


def _default(directory: Path, document: Table) -> tuple[str, ...]:
    """The parent of the package or the module that has the project's name; empty if there is none."""
    name = re.sub(r"\W", "_", str(table_at(document, "project").get("name", "")))
    for module in (name, name.lower()):
        if is_present(directory / module / "__init__.py"):
            return (".",)
        if is_present(directory / SRC / module / "__init__.py"):
            return (SRC,)
        if is_present(directory / f"{module}.py") or any(directory.glob(f"*/{module}/__init__.py")):
            return (".",)
    return ()
