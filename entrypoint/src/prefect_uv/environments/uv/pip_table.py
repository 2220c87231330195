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

from prefect_uv.project.files.pyproject import PYPROJECT
from prefect_uv.project.files.toml_tables import Table, read_toml, table_at

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
def settings_options(configuration: Path | None) -> Iterator[tuple[str, ...]]:
    """Options that make uv read its settings from a file, wherever it works; none where there is no file."""
    document = read_toml(configuration) if configuration else {}
    settings = table_at(document, "tool", "uv") if configuration and configuration.name == PYPROJECT else document
    if configuration is None:
        yield ()
    elif not table_at(settings, "pip").keys() - CHOOSING:
        yield ("--project", str(configuration.parent))
    else:
        with tempfile.TemporaryDirectory(prefix="prefect-uv-settings-") as private:
            (Path(private) / PYPROJECT).write_text(_written(settings, configuration.parent))
            yield ("--project", private)


def _written(settings: Table, directory: Path) -> str:
    """As the settings of a project of its own, which has neither members nor sources."""
    import tomli_w  # noqa: PLC0415 (no warm start asks uv)

    kept = {key: value for key, value in settings.items() if key not in {"pip", "sources", "workspace"}}
    kept["pip"] = {key: value for key, value in table_at(settings, "pip").items() if key in CHOOSING}
    return tomli_w.dumps({"tool": {"uv": _with_absolute_addresses(kept, "", directory)}})


def _with_absolute_addresses(value: Any, key: str, directory: Path) -> Any:
    """Addresses may be paths, from the file's directory."""
    match value:
        case dict():
            return {name: _with_absolute_addresses(item, name, directory) for name, item in value.items()}
        case list():
            return [_with_absolute_addresses(item, key, directory) for item in value]
        case str() if key in ADDRESSES and ":" not in value:
            return str(directory / value)
        case _:
            return value
