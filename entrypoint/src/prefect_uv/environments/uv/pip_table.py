"""Give `uv pip` a project's settings without those in [tool.uv.pip] that are meant for other work.

The table also configures a developer's own `uv pip` calls: an output file, another Python or platform, packages to omit
from the output. uv applies it to every call, and no option disables it
(uv 0.13.8: https://docs.astral.sh/uv/concepts/configuration-files/#configuring-the-pip-interface).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.project.files.pyproject import PYPROJECT
from prefect_uv.project.files.toml_tables import Table, read_toml, table_at

CHOOSES_PACKAGES = {
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
"""The keys that choose packages, their indexes, or how they are built: these are kept."""
ADDRESSES = ("find-links", "index-url", "extra-index-url", "url")


@contextmanager
def settings_options(configuration: Path | None) -> Iterator[tuple[str, ...]]:
    """Yield the options that make uv read its settings from this file in any working directory; none without a file."""
    document = read_toml(configuration) if configuration else {}
    settings = table_at(document, "tool", "uv") if configuration and configuration.name == PYPROJECT else document
    if configuration is None:
        yield ()
    elif not table_at(settings, "pip").keys() - CHOOSES_PACKAGES:
        yield ("--project", str(configuration.parent))
    else:
        with tempfile.TemporaryDirectory(prefix="prefect-uv-settings-") as directory:
            write_file(Path(directory) / PYPROJECT, _pyproject(settings, configuration.parent))
            yield ("--project", directory)


def _pyproject(settings: Table, directory: Path) -> str:
    """The text of a pyproject.toml with these settings, without workspace members and sources."""
    import tomli_w  # noqa: PLC0415 (no warm start asks uv)

    kept = {key: value for key, value in settings.items() if key not in {"pip", "sources", "workspace"}}
    kept["pip"] = {key: value for key, value in table_at(settings, "pip").items() if key in CHOOSES_PACKAGES}
    return tomli_w.dumps({"tool": {"uv": _with_absolute_addresses(kept, "", directory)}})


def _with_absolute_addresses(value: Any, key: str, directory: Path) -> Any:
    """Make paths absolute: an address may be a path relative to the settings file."""
    match value:
        case dict():
            return {name: _with_absolute_addresses(item, name, directory) for name, item in value.items()}
        case list():
            return [_with_absolute_addresses(item, key, directory) for item in value]
        case str() if key in ADDRESSES and ":" not in value:
            return str(directory / value)
        case _:
            return value
