"""The user's constraints, overrides and excludes for a script.

uv takes them from its variables for `uv pip` alone. A script's block has settings with the same meaning, so uv gets a
copy of the block with these settings extended.
uv 0.13.8: https://docs.astral.sh/uv/reference/settings/#constraint-dependencies
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.environments.uv.pip_table import with_absolute_addresses
from prefect_uv.errors import SettingsInvalidError
from prefect_uv.project.files.inline_script import Script
from prefect_uv.project.files.requirement_lines import written_requirements
from prefect_uv.project.files.requirements_files import Requirements
from prefect_uv.project.files.text_files import read_text
from prefect_uv.project.files.toml_tables import strings, table_at

LIMITS = {
    "UV_CONSTRAINT": "constraint-dependencies",
    "UV_OVERRIDE": "override-dependencies",
    "UV_EXCLUDE": "exclude-dependencies",
}


@contextmanager
def limited_script(script: Script, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the script if nothing limits it, or else a copy of its block with the limits.

    Raises:
        SettingsInvalidError: a variable names a file that does not exist.
    """
    limits = {setting: _limit_lines(variable, script.path.parent, environ) for variable, setting in LIMITS.items()}
    if not any(limits.values()):
        yield script.path
        return
    import tomli_w  # noqa: PLC0415 (no warm start resolves)

    own = table_at(script.document, "tool", "uv")
    extended = {**own, **{setting: [*strings(own.get(setting)), *lines] for setting, lines in limits.items() if lines}}
    tool = {**table_at(script.document, "tool"), "uv": with_absolute_addresses(extended, "", script.path.parent)}
    lines = tomli_w.dumps({**script.document, "tool": tool}).splitlines()
    with tempfile.TemporaryDirectory(prefix="prefect-uv-script-") as directory:
        copy = Path(directory, script.path.name)
        write_file(copy, "\n".join(["# /// script", *(f"# {line}".rstrip() for line in lines), "# ///", ""]))
        yield copy


def _limit_lines(variable: str, directory: Path, environ: Mapping[str, str]) -> list[str]:
    """The requirements in the files that a variable names, and in those that they include."""
    files = [directory / name for name in environ.get(variable, "").split()]
    for file in files:
        if not file.is_file():
            raise SettingsInvalidError(
                f"{variable} names a file that does not exist.",
                f"There is no file {file}.",
                f"Mount it, or correct {variable}; for a script it must be a path.",
            )
    all_files = Requirements.read(directory, files, environ).all_files
    return [line for file in all_files for line in written_requirements(read_text(file), environ)]
