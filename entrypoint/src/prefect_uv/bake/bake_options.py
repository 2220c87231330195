"""The options of `prefect-uv bake`; they count more than the variables of the same meaning."""

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
    """A parser whose mistakes are errors of the catalogue."""

    def error(self, message: str) -> NoReturn:
        """Stop."""
        raise UsageError(f"`prefect-uv bake`: {message}.", hint=BAKE_USAGE)


class _Extend(argparse.Action):
    """Names of several options together, as a tuple."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:
        """Add them."""
        setattr(namespace, self.dest, (*(getattr(namespace, self.dest) or ()), *values))


class _Once(argparse.Action):
    """A value that there is one of."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:
        """Set it."""
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "given more than once")
        setattr(namespace, self.dest, values)


@dataclass(frozen=True)
class BakeOptions:
    """What to bake.

    Attributes:
        settings: with the selection of the options.
        install_project: the project's own code is installed too.
        version: of the image; nothing when none was given.
    """

    settings: Settings
    install_project: bool
    version: str | None

    @classmethod
    def parse(cls, words: Sequence[str], settings: Settings) -> BakeOptions:
        """Read the options.

        Raises:
            UsageError: an option is not known or given too often, or its value is empty or no name.
        """
        options: dict[str, Any] = vars(_parser().parse_args(words))
        install_project, version = options.pop("install_project"), options.pop("version")
        if version is not None and not version.strip():
            hint = "Name one, as `docker build --build-arg VERSION=1.2.3 .`, or leave the option out."
            raise UsageError("`prefect-uv bake`: the version is empty.", hint=hint)
        chosen = {name: value for name, value in options.items() if value}
        return cls(replace(settings, **chosen), install_project or settings.install_project, version)


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
    name, *more = _names(text)
    if more:
        message = f"{text} is more than one name"
        raise argparse.ArgumentTypeError(message)
    return name
