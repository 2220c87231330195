"""Which project of the pulled code, which of its dependencies, on which Python, from where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import boolean, choice, names, package_list, paths, whole_number


@dataclass(frozen=True, kw_only=True)
class ProjectSettings:
    """A deployment's choices; job variables set them."""

    project: str = setting(
        "PREFECT_UV_PROJECT", str, "", "The project's directory, or a script, relative to the pulled code."
    )
    package: str = setting("PREFECT_UV_PACKAGE", str, "", "The workspace member whose dependencies are installed.")
    groups: tuple[str, ...] = setting(
        "PREFECT_UV_GROUPS", names, (), "Dependency groups to install as well; `dev` is not installed unless named."
    )
    only_groups: tuple[str, ...] = setting(
        "PREFECT_UV_ONLY_GROUPS", names, (), "Dependency groups to install alone; Prefect must be in one of them."
    )
    extras: tuple[str, ...] = setting("PREFECT_UV_EXTRAS", names, (), "Extras of the project to install as well.")
    requirements: tuple[str, ...] = setting(
        "PREFECT_UV_REQUIREMENTS",
        paths,
        (),
        "Requirements files to install instead of a project, relative to the pulled code, also `requirements/*.txt`.",
    )
    extra_packages: tuple[str, ...] = setting(
        "PREFECT_UV_EXTRA_PACKAGES",
        package_list,
        (),
        "Packages for this deployment beside the locked ones, separated by spaces, or one requirement on each line.",
        also=("EXTRA_PIP_PACKAGES", "EXTRA_PY_DEPS"),
    )
    extra_packages_variable: str = setting(
        "PREFECT_UV_EXTRA_PACKAGES_VARIABLE",
        str,
        "",
        "Name of a Prefect Variable, a string or a list, that holds more such packages.",
    )
    extra_requirements: tuple[str, ...] = setting(
        "PREFECT_UV_EXTRA_REQUIREMENTS",
        paths,
        (),
        "Requirements files with such packages, relative to the pulled code; `requirements-extras.txt` is found by"
        " itself.",
    )
    resolve_days: int = setting(
        "PREFECT_UV_RESOLVE_DAYS",
        whole_number,
        1,
        "Days for which versions that nothing pins (extra packages, requirements, scripts without a lock, `relock`)"
        " are kept before they are resolved anew.",
    )
    lock: str = setting(
        "PREFECT_UV_LOCK",
        choice("locked", "frozen", "relock"),
        "locked",
        "What to do with a uv.lock that does not fit pyproject.toml: `locked` refuses it, `frozen` installs it,"
        " `relock` locks again, and keeps the answer for PREFECT_UV_RESOLVE_DAYS.",
    )
    python: str = setting(
        "PREFECT_UV_PYTHON",
        str,
        "",
        "The Python to use, as `3.12`; it counts more than .python-version.",
        also=("UV_PYTHON",),
    )
    source_root: tuple[str, ...] = setting(
        "PREFECT_UV_SOURCE_ROOT",
        paths,
        (),
        "Directories to import the flow's code from, relative to the pulled code; else `src` and what the build"
        " settings name.",
    )
    install_project: bool = setting(
        "PREFECT_UV_INSTALL_PROJECT",
        boolean,
        False,
        "Build and install the project and its local dependencies on each run: for console scripts, compiled"
        " extensions and dynamic versions.",
    )
    offline: bool = setting(
        "PREFECT_UV_OFFLINE",
        boolean,
        False,
        "Use no network but the Prefect API: what is neither in the image nor on the volume is an error that names it.",
        also=("UV_OFFLINE",),
    )
    wheels: Path | None = setting(
        "PREFECT_UV_WHEELS", Path, None, "A directory of wheels to install from instead of the package indexes."
    )
