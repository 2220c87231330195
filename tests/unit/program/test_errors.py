"""The catalogue of errors and its one rendering."""

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
    """Each error has a code of ours, a kebab-case slug, a kind, and says when it is raised."""
    assert 64 <= error.exit_code <= 78
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.slug)
    assert error.kind in {"user", "tool", "bug"}
    assert error.__doc__
    assert error.__doc__ != PrefectUvError.__doc__


def test_exit_code_belongs_to_one_family() -> None:
    """No two families share an exit code; members of a family do."""
    families = PrefectUvError.__subclasses__()
    assert len({family.exit_code for family in families}) == len(families)
    for family in families:
        assert {member.exit_code for member in _descendants(family)} <= {family.exit_code}


def test_slugs_are_unique() -> None:
    """A slug names one error."""
    assert len({error.slug for error in CATALOGUE}) == len(CATALOGUE)


def test_rendering_word_for_word() -> None:
    """Headline, what was found, hint, with empty lines between."""
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


def test_rendering_leaves_empty_parts_out() -> None:
    """An error without findings and hint is its headline."""
    assert LockfileMissingError("No uv.lock.").render() == "error[lockfile-missing]: No uv.lock."


def test_summary_is_one_line() -> None:
    """A state's message carries headline and hint."""
    error = LockfileMissingError("No uv.lock.", "many\nlines", "Run `uv lock`.")
    assert error.summary() == "error[lockfile-missing]: No uv.lock. hint: Run `uv lock`."
    assert LockfileMissingError("No uv.lock.").summary() == "error[lockfile-missing]: No uv.lock."


def test_tool_report_keeps_the_last_twenty_lines() -> None:
    """A failing tool leaves its command, its exit code and the end of its stderr."""
    report = tool_report("uv sync", 2, "".join(f"line {number}  \n" for number in range(30))).splitlines()
    assert report[0] == "`uv sync` exited with code 2:"
    assert report[1:] == [f"    line {number}" for number in range(10, 30)]
