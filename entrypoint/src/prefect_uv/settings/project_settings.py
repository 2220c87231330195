"""Settings for the project: where it is, which of its dependencies to install, on which Python, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import boolean, choice, names, package_list, paths, whole_number, words


@dataclass(frozen=True, kw_only=True)
class ProjectSettings:
    """What one deployment chooses; usually set as its job variables."""

    project: str = setting(
        "PREFECT_UV_PROJECT",
        str,
        "",
        "The project's directory, a pylock.toml or a script, relative to the pulled code.",
    )
    package: str = setting("PREFECT_UV_PACKAGE", str, "", "The workspace member whose dependencies to install.")
    groups: tuple[str, ...] = setting(
        "PREFECT_UV_GROUPS", names, (), "Dependency groups to install in addition; `dev` is installed only if named."
    )
    only_groups: tuple[str, ...] = setting(
        "PREFECT_UV_ONLY_GROUPS",
        names,
        (),
        "Dependency groups to install instead of the project's dependencies; one of them must contain Prefect.",
    )
    extras: tuple[str, ...] = setting(
        "PREFECT_UV_EXTRAS", names, (), "Extras (optional dependencies) of the project to install in addition."
    )
    requirements: tuple[str, ...] = setting(
        "PREFECT_UV_REQUIREMENTS",
        paths,
        (),
        "Requirements files to install instead of a project, relative to the pulled code; patterns such as"
        " `requirements/*.txt` work too.",
    )
    tool_variables: tuple[str, ...] = setting(
        "PREFECT_UV_TOOL_VARIABLES",
        words,
        (),
        "Variables that build backends and git get in addition to the usual ones: names, or patterns such as `CORP_*`,"
        " separated by spaces.",
    )
    # Prefect 3.8.8 (EXTRA_PIP_PACKAGES): https://github.com/PrefectHQ/prefect/blob/3.8.8/scripts/entrypoint.sh
    extra_packages: tuple[str, ...] = setting(
        "PREFECT_UV_EXTRA_PACKAGES",
        package_list,
        (),
        "Packages that this deployment needs in addition to the project's, separated by spaces or one per line.",
        also=("EXTRA_PIP_PACKAGES", "EXTRA_PY_DEPS"),
    )
    extra_packages_variable: str = setting(
        "PREFECT_UV_EXTRA_PACKAGES_VARIABLE",
        str,
        "",
        "Name of a Prefect Variable, a string or a list, that holds more extra packages.",
    )
    extra_requirements: tuple[str, ...] = setting(
        "PREFECT_UV_EXTRA_REQUIREMENTS",
        paths,
        (),
        "Requirements files with more extra packages, relative to the pulled code; `requirements-extras.txt` is found"
        " automatically.",
    )
    resolve_days: int = setting(
        "PREFECT_UV_RESOLVE_DAYS",
        whole_number,
        1,
        "Days to keep the versions that were resolved for anything not locked (extra packages, requirements, scripts"
        " without a lock, `relock`) before resolving again.",
    )
    lock: str = setting(
        "PREFECT_UV_LOCK",
        choice("locked", "frozen", "relock"),
        "locked",
        "What to do if uv.lock does not match pyproject.toml: `locked` refuses to run, `frozen` installs uv.lock as it"
        " is, `relock` resolves again and keeps the result for PREFECT_UV_RESOLVE_DAYS.",
    )
    python: str = setting(
        "PREFECT_UV_PYTHON",
        str,
        "",
        "The Python version to use, such as `3.12`; takes precedence over `.python-version`.",
        also=("UV_PYTHON",),
    )
    source_root: tuple[str, ...] = setting(
        "PREFECT_UV_SOURCE_ROOT",
        paths,
        (),
        "Directories to import the flow's code from, relative to the pulled code; by default `src` and those that the"
        " build settings name.",
    )
    install_project: bool = setting(
        "PREFECT_UV_INSTALL_PROJECT",
        boolean,
        False,
        "Build and install the project and its local packages on each run, also those that can be imported from their"
        " sources: for console scripts and dynamic versions.",
    )
    offline: bool = setting(
        "PREFECT_UV_OFFLINE",
        boolean,
        False,
        "Use no network except for the Prefect API; fail with an error that names what is neither in the image nor on"
        " the cache volume.",
        also=("UV_OFFLINE",),
    )
    wheels: Path | None = setting(
        "PREFECT_UV_WHEELS", Path, None, "Directory of wheels to install from instead of package indexes."
    )
