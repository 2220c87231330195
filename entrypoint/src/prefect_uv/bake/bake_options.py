"""The options of `prefect-uv bake`; they take precedence over the variables with the same meaning."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from prefect_uv.errors import UsageError
from prefect_uv.settings import Settings
from prefect_uv.settings.parsers import names

BAKE_USAGE = (
    "prefect-uv bake [--group NAME]… [--only-group NAME]… [--extra NAME]… [--package NAME] [--project DIR]"
    " [--install-project] [--version VERSION]"
)


class _Parser(argparse.ArgumentParser):
    """A parser that raises an error of the catalogue instead of exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError."""
        raise UsageError(f"`prefect-uv bake`: {message}.", hint=BAKE_USAGE)


class _Extend(argparse.Action):
    """Collects the names of a repeated option in one tuple."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:
        """Add the names of one occurrence."""
        setattr(namespace, self.dest, (*(getattr(namespace, self.dest) or ()), *values))


class _Once(argparse.Action):
    """Stores the value of an option that may be given only once."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:
        """Set the value."""
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "given more than once")
        setattr(namespace, self.dest, values)


@dataclass(frozen=True)
class BakeOptions:
    """What to bake.

    Attributes:
        settings: the settings with the selection that the options make.
        install_project: whether to install the project's own code too.
        version: the version of the image; None if the option was not given.
    """

    settings: Settings
    install_project: bool
    version: str | None

    @classmethod
    def parse(cls, arguments: Sequence[str], settings: Settings) -> BakeOptions:
        """Read the options.

        Raises:
            UsageError: an option is unknown or repeated, or its value is empty or not a name.
        """
        options: dict[str, Any] = vars(_parser().parse_args(arguments))
        install_project, version = options.pop("install_project"), options.pop("version")
        if version is not None and not version.strip():
            hint = "Pass one, as in `docker build --build-arg VERSION=1.2.3 .`, or leave the option out."
            raise UsageError("`prefect-uv bake`: the version is empty.", hint=hint)
        given = {name: value for name, value in options.items() if value}
        return cls(replace(settings, **given), install_project or settings.install_project, version)


def _parser() -> _Parser:
    parser = _Parser(prog="prefect-uv bake", usage=BAKE_USAGE, add_help=False, allow_abbrev=False)
    for option, field in (("--group", "groups"), ("--only-group", "only_groups"), ("--extra", "extras")):
        parser.add_argument(option, dest=field, action=_Extend, type=_names)
    parser.add_argument("--package", action=_Once, type=_name)
    parser.add_argument("--project", action=_Once)
    parser.add_argument("--version", action=_Once)
    parser.add_argument("--install-project", action="store_true")
    return parser


def _names(text: str) -> tuple[str, ...]:
    try:
        return names(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} {error}" if text else "a name is empty") from None


def _name(text: str) -> str:
    name, *others = _names(text)
    if others:
        message = f"{text} is more than one name"
        raise argparse.ArgumentTypeError(message)
    return name
