"""The parser of all commands' options, imported only if there is something to parse or a help to print."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn

from prefect_uv.errors import UsageError
from prefect_uv.options.command_options import Options
from prefect_uv.options.image_options import add_export_options, add_import_options, read_image_options
from prefect_uv.options.template_options import add_template_options, read_template_options
from prefect_uv.options.warm_options import add_warm_options, read_warm_options
from prefect_uv.settings import Settings
from prefect_uv.settings.parsers import names

DESCRIPTION = """\
prefect-uv runs Prefect flows from git with uv. Use this image in a work pool or a deployment, and push a
pyproject.toml and a uv.lock that contains prefect. When a worker starts it, with PREFECT__FLOW_RUN_ID set, it executes
that flow run. Any other command runs unchanged, as in `docker run IMAGE bash`."""
SUMMARIES = {
    "run": "execute the flow run of PREFECT__FLOW_RUN_ID, as workers do",
    "sync": "pull the code and build its environment, but do not start the flow",
    "exec": "pull the code, build its environment, and run a command in it",
    "bundle": "execute a flow run whose flow was submitted as a bundle, as workers do",
    "bake": "build a project's environment into the image (in a Dockerfile)",
    "export": "write an environment as an image to a registry, without an engine",
    "import": "take an environment out of such an image, onto the cache volume",
    "key": "print the key of the environment that the project in this directory would get",
    "warm": "pull the code and build the environments of deployments before their runs come",
    "cache": "list, prune or verify the environments on the cache volume",
    "doctor": "show what this container has and can reach, or what a start would do",
    "template": "print the base job template of a work pool",
}
PREPARING = {"run", "sync", "exec", "bake", "export", "key"}
NAMES = {"--group": "groups", "--only-group": "only_groups", "--extra": "extras"}
"""Options that may be repeated, each with the setting that it makes."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises an error of the catalogue instead of exiting."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, argument_default=argparse.SUPPRESS, **options)

    def error(self, message: str) -> NoReturn:
        """Raise a UsageError."""
        raise UsageError(f"`{self.prog}`: {message}.", hint=f"`{self.prog} --help` lists what it accepts.")


class _Extend(argparse.Action):
    """Joins the names of a repeated option."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:
        """Add the names of one occurrence."""
        earlier = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, f"{earlier},{values}" if earlier else values)


class _Once(argparse.Action):
    """Stores the value of an option that may be given only once."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:
        """Set the value."""
        if hasattr(namespace, self.dest):
            raise argparse.ArgumentError(self, "given more than once")
        setattr(namespace, self.dest, values)


def parse_options(words: Sequence[str]) -> Options:
    """Read the words of a command.

    Args:
        words: the command of prefect-uv, and what follows it.

    Raises:
        UsageError: an option is unknown or repeated, or its value is empty or not a name.
        SystemExit: `--help` was asked for and printed.
    """
    verb, *rest = words
    given = vars(build_parsers()[1][verb].parse_args(rest))
    if verb == "template":
        return Options(template=read_template_options(given))
    variables = {name: given.pop(name) for name in list(given) if name.isupper()}
    if given.get("project"):
        variables["PREFECT_UV_PROJECT"] = given["project"]
    if verb in {"export", "import"}:
        return Options(variables=variables, image=read_image_options(verb, given))
    if verb == "warm":
        return Options(variables=variables, warm=read_warm_options(given))
    command = given.pop("command", [])
    return Options(variables=variables, command=tuple(command[1:] if command[:1] == ["--"] else command), **given)


def build_parsers() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The parser of `prefect-uv` itself, for its help, and those of its commands.

    A setting that an option makes is stored under the name of its variable.
    """
    root = _Parser(
        prog="prefect-uv", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False
    )
    root.add_argument("-h", "--help", action="help", help="show this help; each command has one of its own")
    root.add_argument("-V", "--version", action="store_true", help="show the version of prefect-uv")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", prog="prefect-uv")
    selecting = _selecting_options()
    preparing = _preparing_options(selecting)
    for verb, summary in SUMMARIES.items():
        parents = [preparing] if verb in PREPARING else [selecting] if verb == "doctor" else []
        commands.add_parser(verb, parents=parents, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    parsers = commands.choices
    _variable(parsers["run"], "flow_run_id", nargs="?", metavar="FLOW_RUN_ID")
    parsers["bundle"].usage = "prefect-uv bundle uv run --with … --python X.Y -m MODULE … --key KEY"
    parsers["bundle"].add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the worker's command")
    parsers["exec"].usage = "prefect-uv exec [OPTION …] [--] COMMAND [ARGUMENT …]"
    parsers["exec"].add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command to run")
    for verb in ("sync", "exec"):
        text = "prepare this deployment, with the variables that its runs get, instead of a flow run"
        parsers[verb].add_argument("--deployment", action=_Once, type=_checked(str), metavar="FLOW/NAME", help=text)
    add_warm_options(parsers["warm"])
    add_export_options(parsers["export"])
    add_import_options(parsers["import"])
    for verb in ("import", "warm"):
        _verbose(parsers[verb])
    parsers["bake"].add_argument("--version", action=_Once, metavar="VERSION", help="of the image; every start logs it")
    parsers["key"].add_argument("--json", action="store_true", help="print JSON")
    _add_doctor_options(parsers["doctor"])
    actions = parsers["cache"].add_subparsers(dest="action", title="actions", metavar="ACTION")
    actions.add_parser("list", help="list the environments; this is the default")
    prune = actions.add_parser("prune", help="remove what is not needed")
    prune.add_argument("--all", dest="everything", action="store_true", help="remove whatever is not in use")
    actions.add_parser("verify", help="check every file; damaged environments are removed")
    parsers["cache"].set_defaults(action="list")
    add_template_options(parsers["template"])
    return root, parsers


def _add_doctor_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to look at."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    ahead = parser.add_mutually_exclusive_group()
    text = "say what a start would do with the project in the working directory, or at this path"
    ahead.add_argument("--project", nargs="?", const="", action=_Once, metavar="PATH", help=text)
    text = "say what a run of this deployment would do, with the variables that its runs get"
    ahead.add_argument("--deployment", action=_Once, type=_checked(str), metavar="FLOW/NAME", help=text)
    _verbose(parser)


def _selecting_options() -> _Parser:
    """The options that select what is installed of a project."""
    parent = _Parser(add_help=False)
    for option, name in NAMES.items():
        _variable(parent, name, option, action=_Extend, type=_checked(names), metavar="NAME")
    _variable(parent, "package", "--package", action=_Once, type=_checked(_one_name), metavar="NAME")
    return parent


def _preparing_options(selecting: _Parser) -> _Parser:
    """The options of every command that prepares an environment."""
    parent = _Parser(add_help=False, parents=[selecting])
    _variable(parent, "project", "--project", action=_Once, type=_checked(str), metavar="PATH")
    _variable(parent, "install_project", "--install-project", action="store_const", const="true")
    _verbose(parent)
    return parent


def _verbose(parser: argparse.ArgumentParser) -> None:
    _variable(parser, "verbose", "--verbose", "-v", action="store_const", const="true")


def _variable(parser: argparse.ArgumentParser, setting: str, *option: str, **options: Any) -> None:
    """Add an option, or an argument, for a setting, which is stored under the name of its variable."""
    metadata = next(item.metadata for item in fields(Settings) if item.name == setting)
    variable = metadata["names"][0]
    help_text = f"{metadata['help'].replace('%', '%%')} [{variable}]"
    if option:
        parser.add_argument(*option, dest=variable, help=help_text, **options)
    else:
        parser.add_argument(variable, help=help_text, **options)


def _checked(parse: Callable[[str], object]) -> Callable[[str], str]:
    """Return a function that returns a text if a parser of settings accepts it."""

    def check(text: str) -> str:
        if not text.strip():
            message = "it is empty"
            raise argparse.ArgumentTypeError(message)
        try:
            parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text} {error}") from None
        return text

    return check


def _one_name(text: str) -> str:
    name, *others = names(text)
    if others:
        message = "is more than one name"
        raise ValueError(message)
    return name
