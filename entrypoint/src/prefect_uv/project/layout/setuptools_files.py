"""What setuptools is told in pyproject.toml, setup.cfg and setup.py, which may all be there.

setuptools 84.2: https://setuptools.pypa.io/en/latest/userguide/package_discovery.html
Settings in pyproject.toml win over those in setup.py, and these over those in setup.cfg:
https://github.com/pypa/setuptools/blob/v84.2.1/setuptools/dist.py (`parse_config_files`)
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefect_uv.project.files.toml_tables import Table, strings, table_at
from prefect_uv.project.layout.layout import Layout

_WHAT_BUILDS = ("ext-modules", "cmdclass", "distclass", "cffi-modules", "rust-extensions")
_WHAT_LAYS_OUT = ("package-dir", "packages", "py-modules")
_UNREADABLE = "its setup.py computes what to install"
_VERSION_FILES = ("write_to", "version_file")
_DISTRIBUTORS = {"setuptools", "distutils.core"}


def setuptools_layout(directory: Path, document: Table) -> Layout:
    """The layout by the settings of the three files; none if setuptools looks for the packages itself."""
    tool = table_at(document, "tool")
    script = _setup_arguments(directory / "setup.py")
    if script is None:
        return Layout(build_reason=_UNREADABLE)
    settings = {**_setup_cfg(directory / "setup.cfg"), **script, **table_at(tool, "setuptools")}
    if building := next((key for key in _WHAT_BUILDS if settings.get(key)), None):
        return Layout(build_reason=f"setuptools has {building} for it")
    if "setuptools-rust" in tool:
        return Layout(build_reason="setuptools-rust compiles it")
    scm = {**table_at(tool, "setuptools_scm"), **table_at(settings, "use-scm-version")}
    if any(key in scm for key in _VERSION_FILES):
        return Layout(build_reason="setuptools-scm writes its version into a file")
    return _layout_of(settings)


def _layout_of(settings: Table) -> Layout:
    packages, package_dir = settings.get("packages"), table_at(settings, "package-dir")
    pairs = [(path, str(name).replace(".", "/")) for name, path in package_dir.items()]
    if isinstance(packages, Mapping):
        where = table_at(packages, "find").get("where", [] if "" in package_dir else ["."])
        return Layout.of_mapping(pairs, strings(where))
    elsewhere = package_dir and all(name.partition(".")[0] in package_dir for name in strings(packages))
    if "" in package_dir or elsewhere or not any(settings.get(key) for key in _WHAT_LAYS_OUT):
        return Layout.of_mapping(pairs)
    return Layout.of_mapping(pairs, ["."])


def _setup_arguments(script: Path) -> Table | None:
    """The arguments of the call of `setup`, by the names of pyproject.toml; True for what is not a literal.

    None if only running the script can tell where packages are.
    """
    try:
        nodes = list(ast.walk(ast.parse(script.read_bytes())))
    except OSError:
        return {}
    except (ValueError, SyntaxError, RecursionError):
        return None
    names = {name for node in nodes for name in _names_of_setup(node)}
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) in names]
    keywords = [keyword for call in calls for keyword in call.keywords]
    arguments = {str(keyword.arg).replace("_", "-"): _literal(keyword.value) for keyword in keywords}
    is_readable = len(calls) == 1 and all(keyword.arg for keyword in keywords)
    return arguments if is_readable and isinstance(arguments.get("package-dir", {}), dict) else None


def _names_of_setup(node: ast.AST) -> Iterator[str]:
    """Yield what an import makes of setuptools' `setup`."""
    if isinstance(node, ast.ImportFrom) and node.module in _DISTRIBUTORS:
        yield from (alias.asname or alias.name for alias in node.names if alias.name == "setup")
    if isinstance(node, ast.Import):
        yield from (f"{alias.asname or alias.name}.setup" for alias in node.names if alias.name in _DISTRIBUTORS)


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return True


def _setup_cfg(file: Path) -> Table:
    """The options about packages in a setup.cfg, in the form of pyproject.toml; empty if it cannot be read."""
    try:
        text = file.read_text()
    except (OSError, ValueError):
        return {}
    if "[options]" not in text:
        return {}
    import configparser  # noqa: PLC0415 (rarely needed)

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    options: dict[str, object] = {key.replace("_", "-"): _items(value) for key, value in parser["options"].items()}
    pairs = (item.partition("=") for item in strings(options.get("package-dir")))
    options["package-dir"] = {name.strip(): path.strip() for name, _, path in pairs}
    if strings(options.get("packages"))[:1] in (["find:"], ["find_namespace:"]):
        where = parser.get("options.packages.find", "where", fallback="")
        options["packages"] = {"find": {"where": _items(where)} if where else {}}
    return options


def _items(value: str) -> list[str]:
    """The items of a list in setup.cfg, which has one a line or commas between them."""
    return [item.strip() for item in value.replace(",", "\n").splitlines() if item.strip()]
