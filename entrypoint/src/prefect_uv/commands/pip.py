"""The image's `pip`: in a pull step, it hands packages to the run; elsewhere, it says what to use. Never pip itself.

It understands the command lines that pull steps have, by pip's own rules:
https://pip.pypa.io/en/stable/cli/pip_install/
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from prefect_uv import __version__
from prefect_uv.package_names import normalized
from prefect_uv.pull.pip_installs import NOTES_VARIABLE, note_install
from prefect_uv.urls import USERINFO

READING = {"check", "freeze", "list", "show", "tree"}
UNCHANGED = """\
`pip install` changes nothing here: the image and the environments of flow runs stay as they are.
In a pull step (run_shell_script), it adds packages to the run. Elsewhere, add them to the project (`uv add`) or to one
deployment (PREFECT_UV_EXTRA_PACKAGES, PREFECT_UV_EXTRA_REQUIREMENTS); in a Dockerfile, use `prefect-uv bake`.
A directory can be filled anywhere: `pip install --target DIRECTORY`."""
PIP_HELP = "Here, pip has the commands install, list, freeze, show and check; use uv for anything else."
PRESENT = {"pip", "uv"}
INTO_DIRECTORY = re.compile(r"-t.*|--(?:target|prefix)(?:=.*)?")
IGNORED_FLAGS = (
    *("-q --quiet", "-v --verbose", "-U --upgrade", "--user", "--no-cache-dir", "--no-input", "--no-color"),
    *("--disable-pip-version-check", "--break-system-packages", "--no-warn-script-location", "--prefer-binary"),
    *("--compile", "--no-compile", "--require-hashes", "--no-python-version-warning", "--isolated"),
)
IGNORED_VALUES = ("--cache-dir", "--timeout", "--retries", "--progress-bar", "--root-user-action", "--upgrade-strategy")
SETTINGS_OF_OPTIONS = {
    "-i --index-url": "PIP_INDEX_URL",
    "--extra-index-url": "PIP_EXTRA_INDEX_URL",
    "-f --find-links": "PIP_FIND_LINKS",
    "--trusted-host": "PIP_TRUSTED_HOST",
    "--cert": "PIP_CERT",
    "--proxy": "PIP_PROXY",
}


def main() -> None:
    """Do what the command line asks for, and exit."""
    words, environ = sys.argv[1:], os.environ
    command = next((word for word in words if not word.startswith("-")), "")
    if command == "install":
        _install(words[words.index(command) + 1 :], environ)
    elif command in READING:
        python = ["--python", environ["VIRTUAL_ENV"]] if environ.get("VIRTUAL_ENV") else []
        os.execvp("uv", ["uv", "pip", *words, *python])  # noqa: S606
    elif {"-V", "--version"} & {*words}:
        sys.stdout.write(f"pip of prefect-uv {__version__}, for which uv does the work\n")
    elif command in {"", "help"}:
        sys.stdout.write(f"{PIP_HELP}\n")
    else:
        _fail(f"there is no `pip {command}`. {PIP_HELP}", 2)


def _install(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """Note what to install, if a pull step is listening; into a directory, uv installs it at once."""
    if any(map(INTO_DIRECTORY.fullmatch, words)):
        os.execvp("uv", ["uv", "pip", "install", *words])  # noqa: S606
    notes = environ.get(NOTES_VARIABLE)
    if not notes:
        _fail(UNCHANGED, 1)
    options = _InstallParser(prog="pip install", add_help=False, allow_abbrev=False).parse_intermixed_args(words)
    _refuse_other_indexes(options, environ)
    if not (options.packages or options.editable or options.requirement):
        _fail("`pip install` needs at least one package or requirements file.", 1)
    packages = [word for word in options.packages if normalized(re.split(r"[^\w.-]", word)[0]) not in PRESENT]
    if named := [*options.requirement, *packages, *options.editable]:
        options.packages = packages
        note_install(notes, _files(options), _package_lines(options))
        sys.stdout.write(f"{USERINFO.sub('', ', '.join(named))} will be installed with the project's environment\n")
    else:
        sys.stdout.write("nothing to install: the image has uv, which does pip's work\n")


def _refuse_other_indexes(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Accept an index or another option with a setting only if it says the same as the setting."""
    for option, variable in SETTINGS_OF_OPTIONS.items():
        value = getattr(options, variable)
        if value not in {None, environ.get(variable)}:
            shown = f"{option.split()[-1]} {USERINFO.sub('', value)}"
            _fail(f"{shown} is not used: set {variable} in the job variables.", 2)


def _files(options: argparse.Namespace) -> list[str]:
    """The requirements files, as absolute paths."""
    files = [os.path.abspath(path) for path in options.requirement if "://" not in path]  # noqa: PTH100 (as written)
    for file in files:
        if not os.path.isfile(file):  # noqa: PTH113
            _fail(f"the requirements file {file} does not exist.", 1)
    return files


def _package_lines(options: argparse.Namespace) -> list[str]:
    """Everything else, as lines of a requirements file."""
    return [
        *map(_absolute, options.packages),
        *map(_editable, options.editable),
        *(f"-r {address}" for address in options.requirement if "://" in address),
        *(f"-c {_absolute(path, is_path=True)}" for path in options.constraint),
    ]


def _absolute(word: str, *, is_path: bool = False) -> str:
    """A path of a package as an absolute one; a name or an address as it is."""
    is_path = is_path or word.startswith(".") or os.sep in word or word.endswith(".whl")
    if "://" in word or " @ " in word or not is_path:
        return word
    return os.path.abspath(word)  # noqa: PTH100 (keeps `.[extra]`, and links as written)


def _editable(address: str) -> str:
    """A directory to install; what would be a clone of pip's is installed as a package."""
    return address if "://" in address else f"-e {_absolute(address, is_path=True)}"


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"prefect-uv: {message}\n")
    sys.exit(code)


class _InstallParser(argparse.ArgumentParser):
    """The options of `pip install`: what to install, what has a setting here, and what makes no difference."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.add_argument("packages", nargs="*")
        for names in ("-r --requirement", "-c --constraint", "-e --editable"):
            self.add_argument(*names.split(), action="append", default=[])
        for names, variable in SETTINGS_OF_OPTIONS.items():
            self.add_argument(*names.split(), dest=variable)
        for names in IGNORED_FLAGS:
            self.add_argument(*names.split(), action="count")
        for name in IGNORED_VALUES:
            self.add_argument(name)

    def error(self, message: str) -> NoReturn:
        """Refuse an option, instead of installing something else than it asks for."""
        _fail(f"pip install: {message}. List the packages in PREFECT_UV_EXTRA_PACKAGES, or use a requirements file.", 2)
