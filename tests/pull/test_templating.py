"""Placeholders are resolved as by the locked Prefect: the same inputs reach the step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pull.conftest import BLOCKS, Oracle, Ours, document_ids
from tests.stack.server import PrefectServer

SHELL = "prefect.deployments.steps.run_shell_script"
ENVIRON = {"PULL_ENV": "of the environment", "PULL_EMPTY": "", "PULL_BRACES": "{{ prefect.variables.text }}"}
FIRST = {SHELL: {"id": "first", "script": "echo one", "stream_output": False}}

TEXTS = [
    "plain",
    "",
    "{{ stdout }}",
    "{{stdout}}",
    "{{ first.stdout }}",
    "<{{ first.stdout }}>",
    "{{ first.stdout }}{{ first.stdout }}",
    "{{ first.nothing }}",
    "<{{ first.nothing }}>",
    "<{{ first }}>",
    "{{ nothing }}",
    "a{{ nothing }}b",
    "{{ first.stdout[0] }}",
    "{{ $PULL_ENV }}",
    "<{{ $PULL_ENV }}>",
    "{{ $PULL_EMPTY }}",
    "{{ $PULL_UNSET }}",
    "<{{ $PULL_UNSET }}>",
    "{{ PULL_ENV }}",
    "<{{ PULL_ENV }}>",
    "$PULL_ENV ${PULL_ENV}",
    "{{ $PULL_BRACES }}",
    "{{ a|b }}",
    "{{ a b }}",
    "{ { stdout } }",
    "{{{ stdout }}}",
    "{{ prefect.variables.text }}",
    "<{{ prefect.variables.text }}>",
    "{{ prefect.variables.number }}",
    "<{{ prefect.variables.number }}>",
    "<{{ prefect.variables.list }}>",
    "<{{ prefect.variables.mapping }}>",
    "{{ prefect.variables.missing }}",
    "<{{ prefect.variables.missing }}>",
    "{{ prefect.variables.mapping.k }}",
    "{{ prefect.variables.braces }}",
    "<{{ prefect.variables.braces }}>",
    "{{ prefect.variables.block_in_variable }}",
    "{{ prefect.blocks.secret.token }}",
    "<{{ prefect.blocks.secret.token }}>",
    "{{ prefect.blocks.secret.token.value }}",
    "{{ prefect.blocks.secret.nested.key.deep[0] }}",
    "{{ prefect.blocks.secret.nested.value.key.deep[1].y }}",
    "<{{ prefect.blocks.secret.nested.key.deep[1].y }}>",
    "{{ prefect.blocks.secret.nested.values }}",
    "{{ prefect.blocks.json.json.value.a[1].b }}",
    "{{ prefect.blocks.basic-auth-credentials.login.password }}",
    "{{ prefect.blocks.basic-auth-credentials.login.username }}:{{ prefect.blocks.secret.token }}@{{ $PULL_ENV }}",
    "ünïcödé {{ prefect.variables.text }} ✓",
]
ERRORS = [
    "{{ prefect.blocks.secret.missing }}",
    "{{ prefect.blocks.nowhere.missing }}",
    "{{ prefect.blocks.secret }}",
    "{{ prefect.blocks.secret.token.nothing }}",
    "{{ prefect.blocks.secret.nested.key.deep[9] }}",
    "<{{ prefect.blocks.secret.nested }}>",
    "<{{ prefect.blocks.basic-auth-credentials.login }}>",
]


def pairs(oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> tuple[tuple[Oracle | Ours, Path], ...]:
    """Prefect with its directory, and our steps with theirs."""
    return (oracle, bases[0]), (ours, bases[1])


def echo(base: Path, value: Any) -> list[Any]:
    """Steps that print a templated value, by way of an environment variable."""
    program = base / "print.py"
    program.write_text("import json, os; print(json.dumps(os.environ.get('VALUE')))")
    return [FIRST, {SHELL: {"script": f"python {program}", "env": {"VALUE": value}, "stream_output": False}}]


@pytest.mark.parametrize("text", TEXTS)
def test_text(text: str, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """A text with a placeholder is resolved as by Prefect."""
    theirs, own = (perform(echo(base, text), base, ENVIRON) for perform, base in pairs(oracle, ours, bases))
    assert bool(theirs.error) == bool(own.error), (theirs.error, own.error)
    assert own.outputs == theirs.outputs


@pytest.mark.parametrize("text", ERRORS)
def test_error(text: str, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """A placeholder that Prefect refuses is refused, and the error names the step."""
    assert oracle(echo(bases[0], text), bases[0], ENVIRON).error
    own = ours(echo(bases[1], text), bases[1], ENVIRON)
    assert own.slug == "pull-step-invalid"
    assert "In pull step 2, prefect.deployments.steps.run_shell_script." in own.error


INPUTS = [
    {"env": "{{ prefect.variables.mapping }}"},
    {"env": "{{ prefect.blocks.basic-auth-credentials.login }}"},
    {"env": {"k": ["{{ nothing }}"], "{{ stdout }}": "key"}},
    {"stream_output": "{{ first.nothing }}"},
    {"directory": "{{ nothing }}"},
    {"script": "{{ first.stdout }}"},
    {"unknown": "{{ nothing }}"},
    {"unknown": "x"},
    {"script": None},
]


@pytest.mark.parametrize("inputs", INPUTS, ids=json.dumps)
def test_inputs(inputs: dict[str, Any], oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """Inputs keep their types, lose keys without a value, and are refused by name, as by Prefect."""
    step = {SHELL: {"script": "env", "env": {}, "stream_output": False, **inputs}}
    theirs, own = (
        perform([FIRST, step], base, {"PATH": "/usr/bin:/bin"}) for perform, base in pairs(oracle, ours, bases)
    )
    assert bool(own.error) == bool(theirs.error), (own.error, theirs.error)
    if not own.error and inputs.get("env"):
        names = ("k=", "username=", "password=")
        printed = [
            [line for line in str(outcome.outputs["stdout"]).splitlines() if line.startswith(names)]
            for outcome in (theirs, own)
        ]
        assert printed[0] == printed[1]


def test_block_reference(oracle: Oracle, ours: Ours, bases: tuple[Path, Path], server: PrefectServer) -> None:
    """A `$ref` to a block document stands for its data."""
    step = {SHELL: {"script": "env", "env": {"$ref": {"block_document_id": document_ids(server)["login"]}}}}
    for perform, base in pairs(oracle, ours, bases):
        outcome = perform([step], base, {})
        assert "password=lovelace" in outcome.outputs["stdout"], outcome.error


def test_values_of_secret_blocks_are_masked(ours: Ours, bases: tuple[Path, Path]) -> None:
    """Secret values that a step prints are masked in the log, and other values are not."""
    steps = [
        {SHELL: {"script": "echo {{ prefect.blocks.secret.token }}"}},
        {SHELL: {"script": "echo {{ prefect.blocks.basic-auth-credentials.login.username }}"}},
        {SHELL: {"script": "echo {{ prefect.blocks.basic-auth-credentials.login.password }}"}},
    ]
    assert not ours(steps, bases[1]).error
    log = "\n".join(ours.lines)
    assert str(BLOCKS["secret", "token"]["value"]) not in log
    assert "lovelace" not in log
    assert "ada" in log
