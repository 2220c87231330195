"""The command that workers make for a bundle, as Prefect itself writes it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from prefect import __version__
from prefect.bundles import convert_step_to_command

from prefect_uv.bundles.bundle_command import BundleCommand
from prefect_uv.command_line import FLOW_RUN_ID, choose_verb
from prefect_uv.errors import UsageError

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
RUN = {FLOW_RUN_ID: "id"}


def made(function: str, **arguments: Any) -> list[str]:
    """The command that Prefect makes of a step."""
    return convert_step_to_command({function: arguments}, "key-1")


def test_local_bundle_of_a_worker() -> None:
    """It is recognized, and read."""
    words = made("prefect.bundles.execute", requires="prefect")
    assert choose_verb(["prefect-uv", *words], RUN) == ("bundle", words)
    command = BundleCommand.parse(words)
    assert command == BundleCommand(
        (f"prefect=={__version__}",), PYTHON, "prefect.bundles.execute", ("--key", "key-1"), "key-1"
    )
    assert command.is_local


def test_bundle_in_a_storage() -> None:
    """The module's own arguments are kept for it."""
    requires = ["prefect-aws[s3,batch]>=0.5.5,<2", "humanize"]
    words = made("prefect_aws.bundles.execute", requires=requires, bucket="flows", aws_credentials_block_name="prod")
    assert choose_verb(["prefect-uv", *words], RUN) == ("bundle", words)
    command = BundleCommand.parse(words)
    assert command.requirements == (*requires, f"prefect=={__version__}")
    assert command.arguments == (
        *("--bucket", "flows", "--aws-credentials-block-name", "prod"),
        *("--key", "key-1"),
    )
    assert not command.is_local


def test_other_commands_are_run_as_they_are() -> None:
    """Without a flow run, or with another module, `uv run` is the user's own."""
    words = made("prefect.bundles.execute", requires="prefect")
    assert choose_verb(["prefect-uv", *words], {}) == ("command", words)
    other = ["uv", "run", "--with", "prefect", "--python", PYTHON, "-m", "company.execute", "--key", "k"]
    assert choose_verb(["prefect-uv", *other], RUN) == ("command", other)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["uv", "run", "-m", "prefect.bundles.execute"],
        ["uv", "run", "--with", "prefect", "-m", "prefect.bundles.execute", "--key"],
        ["uv", "run", "--isolated", "-m", "prefect.bundles.execute", "--key", "k"],
    ],
)
def test_incomplete_command_is_refused(words: list[str]) -> None:
    """The error says what a worker would write."""
    with pytest.raises(UsageError, match="did not get a command"):
        BundleCommand.parse(words)
