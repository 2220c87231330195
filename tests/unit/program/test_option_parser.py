"""What follows a command is read by one parser: nothing is ignored, and every command has a help."""

from __future__ import annotations

import json
import os
from importlib import import_module

import pytest

from prefect_uv.command_line import VERBS
from prefect_uv.errors import UsageError
from prefect_uv.options.command_options import Options
from prefect_uv.options.image_options import ImageOptions
from prefect_uv.options.option_parser import SUMMARIES, build_parsers, parse_options
from prefect_uv.session import Session
from prefect_uv.start import start

PREPARING = ("run", "sync", "exec", "bake", "export")
VERBOSE = {"PREFECT_UV_VERBOSE": "true"}
SELECTION = ["--group", "etl,ml", "--group", "dev", "--only-group", "x", "--extra", "s3", "--package", "lib"]
WRONG = (
    ("sync", ("--groups", "etl"), "unrecognized arguments: --groups etl"),
    ("sync", ("--grou", "etl"), "unrecognized arguments: --grou etl"),
    ("sync", ("etl",), "unrecognized arguments: etl"),
    ("run", ("--group", "--all"), "argument --group: expected one argument"),
    ("run", ("--group", "$GROUP"), "argument --group: $GROUP is not a list of names such as `etl,ml`"),
    ("run", ("id", "id"), "unrecognized arguments: id"),
    ("exec", ("--package", "", "true"), "argument --package: it is empty"),
    ("exec", ("--project", " ", "true"), "argument --project: it is empty"),
    ("bake", ("--package", "etl ml"), "argument --package: etl ml is more than one name"),
    ("bake", ("--package", "etl", "--package", "ml"), "argument --package: given more than once"),
    ("bake", ("--version", "1", "--version", "2"), "argument --version: given more than once"),
    ("bake", ("etl",), "unrecognized arguments: etl"),
    ("doctor", ("--yaml",), "unrecognized arguments: --yaml"),
    ("cache", ("list", "--all"), "unrecognized arguments: --all"),
    ("cache", ("clean",), "argument ACTION: invalid choice"),
    ("export", (), "the following arguments are required: [KEY] IMAGE"),
    ("import", ("a/b", "c/d"), "unrecognized arguments: c/d"),
)
NEEDED = {"export": ["registry.example.com/etl"], "import": ["registry.example.com/etl"]}
"""The arguments without which a command does not begin."""


def test_every_command_has_options() -> None:
    """The parser knows the commands that the command line knows."""
    assert list(SUMMARIES) == list(VERBS)


@pytest.mark.parametrize("verb", PREPARING)
def test_selection_is_the_same_for_every_command(verb: str) -> None:
    """An option stands for a variable, whichever command it is given to."""
    options = parse_options([verb, *SELECTION, "--project", "a/b", "--install-project", *NEEDED.get(verb, ())])
    assert options.variables == {
        "PREFECT_UV_GROUPS": "etl,ml,dev",
        "PREFECT_UV_ONLY_GROUPS": "x",
        "PREFECT_UV_EXTRAS": "s3",
        "PREFECT_UV_PACKAGE": "lib",
        "PREFECT_UV_PROJECT": "a/b",
        "PREFECT_UV_INSTALL_PROJECT": "true",
    }


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["run", "an-id"], Options(variables={"PREFECT__FLOW_RUN_ID": "an-id"})),
        (["exec", "--", "python", "--help"], Options(command=("python", "--help"))),
        (["exec", "python", "--group", "x"], Options(command=("python", "--group", "x"))),
        (
            ["exec", "--group", "dev", "--", "--odd", "--"],
            Options(variables={"PREFECT_UV_GROUPS": "dev"}, command=("--odd", "--")),
        ),
        (["cache", "list"], Options()),
        (["cache", "prune"], Options(action="prune")),
        (["cache", "prune", "--all"], Options(action="prune", everything=True)),
        (["cache", "verify"], Options(action="verify")),
        (["doctor", "--json"], Options(json=True)),
        (["bake", "--version", "1.2"], Options(version="1.2")),
        (["export", "a/b"], Options(image=ImageOptions(reference="a/b"))),
        (["export", "-v", "12ab", "a/b"], Options(variables=VERBOSE, image=ImageOptions(key="12ab", reference="a/b"))),
        (["import", "a/b", "--baked"], Options(image=ImageOptions(reference="a/b", baked=True))),
    ],
)
def test_words_of_one_command(words: list[str], options: Options) -> None:
    """Each command has words of its own; what `exec` runs keeps its options."""
    assert parse_options(words) == options


@pytest.mark.parametrize(("verb", "words", "headline"), WRONG)
def test_wrong_words(verb: str, words: tuple[str, ...], headline: str) -> None:
    """Whatever a command does not know is refused, with the command that lists what it knows."""
    with pytest.raises(UsageError) as raised:
        parse_options([verb, *words])
    assert raised.value.headline.startswith(f"`prefect-uv {verb}`: {headline}")
    assert raised.value.hint == f"`prefect-uv {verb} --help` lists what it accepts."


@pytest.mark.parametrize("verb", VERBS)
def test_unknown_option_ends_the_start(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No command begins its work with an option that it does not know."""
    module, function = VERBS[verb]
    words = [verb, *NEEDED.get(verb, ()), "--no-such-option"]
    assert start(getattr(import_module(module), function), {}, words) == UsageError.exit_code
    assert f"error[usage]: `prefect-uv {verb}`: unrecognized arguments: --no-such-option." in capsys.readouterr().err


@pytest.mark.parametrize("words", [["exec", "--"], ["exec", "--group", "dev"], []])
def test_exec_without_a_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before anything is pulled or built."""
    module, function = VERBS["exec"]
    assert start(getattr(import_module(module), function), {}, words) == UsageError.exit_code
    assert "error[usage]: `prefect-uv exec` has no command." in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_command(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what the command does, runs nothing, and needs no valid settings."""
    with pytest.raises(SystemExit) as ended:
        start(never, {"PREFECT_UV_SUPERVISE": "maybe"}, [verb, "--help"])
    assert ended.value.code == 0
    assert f"{SUMMARIES[verb][1:]}." in " ".join(capsys.readouterr().out.split())


def test_help_lists_every_command() -> None:
    """So does the program's own."""
    text = " ".join(build_parsers()[0].format_help().split())
    assert all(f"{verb} {summary}" in text for verb, summary in SUMMARIES.items())


def test_options_take_precedence_over_variables() -> None:
    """The settings of a start are those that its options make."""
    groups: list[object] = []

    def verb(session: Session) -> int:
        groups.extend([session.settings.groups, session.settings.extras])
        return 0

    environ = {"PREFECT_UV_GROUPS": "etl", "PREFECT_UV_EXTRAS": "s3"}
    assert start(verb, environ, ["sync", "--group", "ml"]) == 0
    assert groups == [("ml",), ("s3",)]


def test_doctor_prints_json(capsys: pytest.CaptureFixture[str], this_image: object) -> None:
    """`doctor --json` prints what `doctor` prints, for programs."""
    assert this_image
    module, function = VERBS["doctor"]
    assert start(getattr(import_module(module), function), {}, ["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["uid"], found["api"], found["baked"]) == (os.getuid(), "PREFECT_API_URL is not set", [])


def never(_: Session) -> int:
    """Stand in for a command that must not run."""
    raise AssertionError
