"""Give `uv pip` its settings without those in [tool.uv.pip], or [pip] in uv.toml, that are meant for other work.

The table also configures a developer's own `uv pip` calls: an output file, another Python or platform, packages to omit
from the output. uv applies it to every call, and no option disables it
(uv 0.13.8: https://docs.astral.sh/uv/concepts/configuration-files/#configuring-the-pip-interface).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.environments.uv.configuration_files import XDG_UV_TOML, uv_configuration_paths
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
ADDRESSES = ("find-links", "index-url", "extra-index-url", "path", "url")


@contextmanager
def pip_settings(
    configuration: Path | None, environ: Mapping[str, str], directory: Path
) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield options and variables that give a `uv pip` command all settings that choose packages, and no others.

    Args:
        configuration: the project's file, if it has one.
        environ: uv's variables.
        directory: where uv runs.
    """
    with settings_options(configuration) as options, outside_settings(environ, directory) as variables:
        yield options, variables


@contextmanager
def settings_options(configuration: Path | None) -> Iterator[tuple[str, ...]]:
    """Yield the options that make uv read its settings from this file in any working directory; none without a file."""
    document = read_toml(configuration) if configuration else {}
    settings = table_at(document, "tool", "uv") if configuration and configuration.name == PYPROJECT else document
    if configuration is None:
        yield ()
    elif not _is_for_other_work(settings):
        yield ("--project", str(configuration.parent))
    else:
        with tempfile.TemporaryDirectory(prefix="prefect-uv-settings-") as directory:
            _write(Path(directory) / PYPROJECT, {"tool": {"uv": _choosing(settings, configuration.parent)}})
            yield ("--project", directory)


@contextmanager
def outside_settings(environ: Mapping[str, str], directory: Path) -> Iterator[dict[str, str]]:
    """Yield variables that lead uv to copies of its files outside the project; none if it can read the files.

    Args:
        environ: uv's variables.
        directory: where uv runs.
    """
    variables = {}
    with ExitStack() as copies:
        for variable, file in uv_configuration_paths(environ, directory).items():
            document = read_toml(file)
            if _is_for_other_work(document):
                copy = Path(copies.enter_context(tempfile.TemporaryDirectory(prefix="prefect-uv-settings-")))
                _write(copy / XDG_UV_TOML, _choosing(document, file.parent))
                variables[variable] = _value(variable, copy, file, environ)
        yield variables


def _value(variable: str, copy: Path, file: Path, environ: Mapping[str, str]) -> str:
    """The value with which uv finds the copy, and everything else that it finds now, as does git, which it starts."""
    if variable == "UV_CONFIG_FILE":
        return str(copy / XDG_UV_TOML)
    if variable == "XDG_CONFIG_DIRS":
        return os.pathsep.join((str(copy), environ.get(variable) or "/etc/xdg"))
    for original in (file.parent, file.parent.parent):
        for entry in original.iterdir():
            link = copy / entry.relative_to(file.parent.parent)
            if not link.exists():
                link.symlink_to(entry)
    return str(copy)


def _is_for_other_work(settings: Table) -> bool:
    return bool(table_at(settings, "pip").keys() - CHOOSES_PACKAGES)


def _choosing(settings: Table, directory: Path) -> Table:
    """These settings of a file in this directory, without workspace members, sources, and settings for other work."""
    kept = {key: value for key, value in settings.items() if key not in {"pip", "sources", "workspace"}}
    kept["pip"] = {key: value for key, value in table_at(settings, "pip").items() if key in CHOOSES_PACKAGES}
    return {key: with_absolute_addresses(value, key, directory) for key, value in kept.items()}


def _write(path: Path, document: Table) -> None:
    import tomli_w  # noqa: PLC0415 (no warm start asks uv)

    path.parent.mkdir(exist_ok=True)
    write_file(path, tomli_w.dumps(document))


def with_absolute_addresses(value: Any, key: str, directory: Path) -> Any:
    """Make paths absolute: an address may be a path relative to the settings file."""
    match value:
        case dict():
            return {name: with_absolute_addresses(item, name, directory) for name, item in value.items()}
        case list():
            return [with_absolute_addresses(item, key, directory) for item in value]
        case str() if key in ADDRESSES and ":" not in value:
            return str(directory / value)
        case _:
            return value
