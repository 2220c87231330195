"""What the words after a command ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_uv.options.image_options import ImageOptions
    from prefect_uv.options.template_options import TemplateOptions
    from prefect_uv.options.warm_options import WarmOptions


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a command; without any words, all have their defaults.

    Attributes:
        variables: the environment variables that the options stand for, and take precedence over.
        command: for `exec`, the program and its arguments.
        action: for `cache`, `list`, `prune` or `verify`.
        everything: for `cache prune`, remove whatever is not in use.
        json: for `key` and `doctor`, print JSON.
        project: for `doctor`, look ahead at the project in the working directory, or at the one that the variable of
            this option names; None for neither.
        version: for `bake`, the version of the image; None if the option was not given.
        deployment: for `sync` and `exec`, the full name of a deployment to prepare instead of a flow run; for `doctor`,
            of one to look ahead at.
        template: for `template`, what the template is to have; None for any other command.
        image: for `export` and `import`, which environment and which image; None for any other command.
        warm: for `warm`, which deployments to warm; None for any other command.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    action: str = "list"
    everything: bool = False
    json: bool = False
    project: str | None = None
    version: str | None = None
    deployment: str = ""
    template: TemplateOptions | None = None
    image: ImageOptions | None = None
    warm: WarmOptions | None = None


def read_options(words: Sequence[str]) -> Options:
    """Read a command and the words after it; no words are no options.

    Raises:
        UsageError: an option is unknown or repeated, or its value is empty or not a name.
        SystemExit: `--help` was asked for and printed.
    """
    if not words:
        return Options()
    from prefect_uv.options.option_parser import parse_options  # noqa: PLC0415 (workers start us without words)

    return parse_options(words)
