"""The error catalogue, and how an error is rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from prefect_uv.errors import LockfileMissingError, PrefectUvError, tool_report


def _descendants(error: type[PrefectUvError]) -> Iterator[type[PrefectUvError]]:
    for child in error.__subclasses__():
        yield child
        yield from _descendants(child)


CATALOGUE = list(_descendants(PrefectUvError))


@pytest.mark.parametrize("error", CATALOGUE)
def test_error_has_code_slug_and_docstring(error: type[PrefectUvError]) -> None:
    """Each error has one of our exit codes, a kebab-case slug, a kind, and a docstring of its own."""
    assert 64 <= error.exit_code <= 78
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.slug)
    assert error.kind in {"user", "tool", "bug"}
    assert error.__doc__
    assert error.__doc__ != PrefectUvError.__doc__


def test_exit_code_belongs_to_one_family() -> None:
    """Families have different exit codes, and all members of a family share one."""
    families = PrefectUvError.__subclasses__()
    assert len({family.exit_code for family in families}) == len(families)
    for family in families:
        assert {member.exit_code for member in _descendants(family)} <= {family.exit_code}


def test_slugs_are_unique() -> None:
    """No two errors share a slug."""
    assert len({error.slug for error in CATALOGUE}) == len(CATALOGUE)


def test_rendered_text() -> None:
    """An error is rendered as headline, what was found and hint, separated by blank lines."""
    error = LockfileMissingError(
        "No uv.lock in /app/etl.",
        "/app/etl/pyproject.toml is present, /app/etl/uv.lock is not.",
        "Run `uv lock`, commit uv.lock, and push.",
    )
    assert error.render() == (
        "error[lockfile-missing]: No uv.lock in /app/etl.\n"
        "\n"
        "/app/etl/pyproject.toml is present, /app/etl/uv.lock is not.\n"
        "\n"
        "hint: Run `uv lock`, commit uv.lock, and push."
    )


def test_rendered_text_without_details_and_hint() -> None:
    """Empty parts are left out."""
    assert LockfileMissingError("No uv.lock.").render() == "error[lockfile-missing]: No uv.lock."


def test_summary_is_one_line() -> None:
    """The summary for a state's message has only the headline and the hint."""
    error = LockfileMissingError("No uv.lock.", "many\nlines", "Run `uv lock`.")
    assert error.summary() == "error[lockfile-missing]: No uv.lock. hint: Run `uv lock`."
    assert LockfileMissingError("No uv.lock.").summary() == "error[lockfile-missing]: No uv.lock."


def test_tool_report_keeps_the_last_twenty_lines() -> None:
    """The report on a failed tool has its command, its exit code and the end of its stderr."""
    report = tool_report("uv sync", 2, "".join(f"line {number}  \n" for number in range(30))).splitlines()
    assert report[0] == "`uv sync` exited with code 2:"
    assert report[1:] == [f"    line {number}" for number in range(10, 30)]
