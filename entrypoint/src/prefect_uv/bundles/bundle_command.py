"""The command with which a worker executes a bundle: `uv run --with … --python X.Y -m MODULE … --key KEY`.

Prefect 3.9.1: convert_step_to_command, https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/bundles/__init__.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from prefect_uv.errors import UsageError

LOCAL_MODULES = {"prefect.bundles.execute", "prefect._experimental.bundles.execute"}


@dataclass(frozen=True)
class BundleCommand:
    """What the command asks for.

    Attributes:
        requirements: what the module needs, as lines of a requirements file.
        python: the minor version of Python with which the bundle was made, such as `3.13`.
        module: executes the bundle: Prefect's own, or one that downloads it first.
        arguments: the arguments of the module.
        key: the bundle's file, or its key in the storage.
    """

    requirements: tuple[str, ...]
    python: str
    module: str
    arguments: tuple[str, ...]
    key: str

    @property
    def is_local(self) -> bool:
        """Whether the key is a file."""
        return self.module in LOCAL_MODULES

    @classmethod
    def parse(cls, words: Sequence[str]) -> BundleCommand:
        """Read the command.

        Raises:
            UsageError: it is another command.
        """
        try:
            module = words.index("-m")
            options = _uv_options().parse_args(list(words[2:module]))
            name, *arguments = words[module + 1 :]
            key = arguments[arguments.index("--key") + 1]
        except (ValueError, IndexError):
            hint = "Workers make it: `uv run --with … --python 3.13 -m prefect.bundles.execute --key …`."
            raise UsageError("`prefect-uv bundle` did not get a command that executes a bundle.", hint=hint) from None
        requirements = tuple(part.strip() for listed in options.requirements for part in _split(listed))
        return cls(requirements, options.python, name, tuple(arguments), key)


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _uv_options() -> argparse.ArgumentParser:
    parser = _Options(add_help=False)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--with", dest="requirements", action="append", default=[])
    parser.add_argument("--python", default="")
    return parser


def _split(listed: str) -> list[str]:
    """The requirements between commas that do not belong to a version or to extras: `a[x,y]>=1,<2,b`.

    uv 0.13.9: https://docs.astral.sh/uv/reference/cli/#uv-run--with
    """
    parts: list[str] = []
    for part in listed.split(","):
        unfinished = bool(parts) and parts[-1].count("[") > parts[-1].count("]")
        if parts and (unfinished or part.strip()[:1] in "<>=!~"):
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    return [part for part in parts if part.strip()]
