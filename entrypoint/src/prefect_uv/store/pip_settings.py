"""A project's settings as `uv pip` is to see them: what its [tool.uv.pip] says of other work is left out.

The table is for people who work with `uv pip`: an output file, another Python or platform, packages that are not
written down. uv 0.13.8 applies it to every call, and no option takes it back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect_uv.project.pyproject import NAME
from prefect_uv.project.toml import Table, at, inline, read

CHOOSING = {
    "config-settings",
    "config-settings-package",
    "dependency-metadata",
    "exclude-newer",
    "exclude-newer-package",
    "extra-build-dependencies",
    "extra-build-variables",
    "extra-index-url",
    "find-links",
    "fork-strategy",
    "index-strategy",
    "index-url",
    "keyring-provider",
    "no-binary",
    "no-build",
    "no-build-isolation",
    "no-build-isolation-package",
    "no-index",
    "no-sources",
    "only-binary",
    "prerelease",
    "resolution",
    "torch-backend",
}
ADDRESSES = ("find-links", "index-url", "extra-index-url", "url")


@contextmanager
def applied(configuration: Path | None) -> Iterator[tuple[str, ...]]:
    """Options that make uv read its settings from a file, wherever it works; none where there is no file."""
    document = read(configuration) if configuration else {}
    settings = at(document, "tool", "uv") if configuration and configuration.name == NAME else document
    if configuration is None:
        yield ()
    elif not at(settings, "pip").keys() - CHOOSING:
        yield ("--project", str(configuration.parent))
    else:
        with tempfile.TemporaryDirectory(prefix="prefect-uv-settings-") as private:
            (Path(private) / NAME).write_text(_written(settings, configuration.parent))
            yield ("--project", private)


def _written(settings: Table, directory: Path) -> str:
    """As the settings of a project of its own, which has neither members nor sources."""
    kept = {key: value for key, value in settings.items() if key not in {"pip", "sources", "workspace"}}
    kept["pip"] = {key: value for key, value in at(settings, "pip").items() if key in CHOOSING}
    return "[tool.uv]\n" + "".join(f"{inline(key)} = {inline(_absolute(kept[key], key, directory))}\n" for key in kept)


def _absolute(value: Any, key: str, directory: Path) -> Any:
    """Addresses may be paths, from the file's directory."""
    match value:
        case dict():
            return {name: _absolute(item, name, directory) for name, item in value.items()}
        case list():
            return [_absolute(item, key, directory) for item in value]
        case str() if key in ADDRESSES and ":" not in value:
            return str(directory / value)
        case _:
            return value
