"""A real uv and its settings: full texts of what it refuses, and variables that we do not pass on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.errors import PrefectUvError
from prefect_uv.project import find_project
from tests.unit.etl import Etl, only_wheels, sync
from tests.unit.wheels import build_wheel

CONFLICTS = """conflicts = [[{ group = "a" }, { group = "b" }]]
[dependency-groups]
a = ["helper==1.0"]
b = ["helper==2.0"]
"""
BROKEN_GROUP = """
[dependency-groups]
a = [{ include-group = "nope" }]
"""
FILE_HINT = """

hint: Mount it, or correct UV_CONSTRAINT, UV_OVERRIDE, UV_BUILD_CONSTRAINT, UV_EXCLUDE or UV_CONFIG_FILE."""
VARIABLE_HINT = """

hint: Correct or remove the variable in uv's report; `--no-sources` there stands for UV_NO_SOURCES."""


def from_requirements(store: EnvironmentStore, etl: Etl) -> Environment:
    """Build an environment from a requirements file."""
    for name in ("pyproject.toml", "uv.lock"):
        (etl.directory / name).unlink(missing_ok=True)
    (etl.directory / "requirements.txt").write_text("prefect\nhelper\n")
    return store.environment(find_project(etl.directory, None, store.settings))


def refusal(etl: Etl, build: Callable[[], object]) -> str:
    """The text of the error, with only the error lines of uv's report and without this machine's paths."""
    with pytest.raises(PrefectUvError) as caught:
        build()
    command, *lines = caught.value.found.splitlines()
    assert command.startswith("`uv --no-progress --color never ")
    report = [line.strip() for line in lines if "error: " in line or "cause: " in line]
    text = caught.value.render().replace(caught.value.found, "\n".join(report))
    return text.replace(str(etl.directory), "/code")


@pytest.mark.parametrize(
    ("settings", "variables", "text"),
    [
        (
            CONFLICTS,
            {"PREFECT_UV_GROUPS": "a,b"},
            """error[selection-invalid]: The selected groups or extras conflict with each other.

error: Groups `a` and `b` are incompatible with the conflicts: {`etl:a`, `etl:b`}

hint: Select only one of those that uv's report names, or change `conflicts` in [tool.uv] and lock again.""",
        ),
        (
            BROKEN_GROUP,
            {"PREFECT_UV_GROUPS": "a"},
            """error[project-invalid]: uv cannot read the project's dependency groups.

error: Project `etl` has malformed dependency groups
cause: Failed to find group `nope` included by `a`

hint: Fix [dependency-groups] as uv's report says, lock again, commit, and push.""",
        ),
        (
            "managed = false\n",
            {},
            """error[project-invalid]: The project does not allow uv to manage it.

error: The project is marked as unmanaged: /code

hint: Remove `managed = false` from [tool.uv]; or name requirements files in PREFECT_UV_REQUIREMENTS.""",
        ),
        (
            "",
            {"UV_NO_SOURCES": "1"},
            f"""error[settings-invalid]: uv does not accept one of its variables as it is set.

error: the argument '--frozen' cannot be used with '--no-sources'{VARIABLE_HINT}""",
        ),
        (
            "",
            {"UV_CONCURRENT_DOWNLOADS": "many"},
            f"""error[settings-invalid]: uv does not accept one of its variables as it is set.

error: Failed to parse environment variable `UV_CONCURRENT_DOWNLOADS` with invalid value `many`: invalid digit found \
in string{VARIABLE_HINT}""",
        ),
        (
            "",
            {"UV_INDEX_STRATEGY": "best"},
            f"""error[settings-invalid]: uv does not accept one of its variables as it is set.

error: invalid value 'best' for '--index-strategy <INDEX_STRATEGY>'{VARIABLE_HINT}""",
        ),
        (
            "",
            {"UV_CONFIG_FILE": "/nowhere/uv.toml"},
            f"""error[settings-invalid]: uv cannot read a file that one of its variables names.

error: failed to open file `/nowhere/uv.toml`: No such file or directory (os error 2){FILE_HINT}""",
        ),
    ],
    ids=["conflicts", "groups", "unmanaged", "sources", "number", "choice", "configuration"],
)
def test_setting_that_uv_refuses(
    etl: Etl, make_store: Callable[..., EnvironmentStore], settings: str, variables: dict[str, str], text: str
) -> None:
    """Each has its own error, with uv's own words."""
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text() + settings)
    if settings == CONFLICTS:
        build_wheel(etl.wheels, "helper", "2.0", {"helper.py": ""})
        etl.lock()
    assert refusal(etl, lambda: sync(make_store(**variables), etl)) == text


@pytest.mark.parametrize("name", ["UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT"])
def test_missing_file_in_a_variable(etl: Etl, make_store: Callable[..., EnvironmentStore], name: str) -> None:
    """The hint names the variables that may name the file."""
    store = make_store(**{name: "/nowhere.txt", "UV_CONFIG_FILE": only_wheels(etl)})
    assert refusal(etl, lambda: from_requirements(store, etl)) == (
        f"""error[settings-invalid]: uv cannot read a file that one of its variables names.

error: File not found: /nowhere.txt{FILE_HINT}"""
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UV_FROZEN", "1"),
        ("UV_LOCKED", "1"),
        ("UV_ONLY_INSTALL_LOCAL", "1"),
        ("UV_ONLY_INSTALL_PROJECT", "1"),
        ("UV_ONLY_INSTALL_WORKSPACE", "1"),
        ("UV_PROJECT", "/nowhere"),
        ("UV_PROJECT_ENVIRONMENT", "/nowhere"),
        ("UV_VENV_SEED", "1"),
        ("UV_WORKING_DIR", "/nowhere"),
        ("UV_WORKING_DIRECTORY", "/nowhere"),
    ],
)
def test_ignored_variable(etl: Etl, make_store: Callable[..., EnvironmentStore], name: str, value: str) -> None:
    """prefect-uv decides where uv works and which part of a lock it installs."""
    etl.write("prefect", "helper")
    relocked = sync(make_store(PREFECT_UV_LOCK="relock", **{name: value}), etl)
    assert installed_versions(relocked.path) == {"prefect": "3.8.8", "helper": "1.0"}
    assert sync(make_store(PREFECT_UV_LOCK="relock"), etl).hit
    store = make_store(UV_CONFIG_FILE=only_wheels(etl), **{name: value})
    assert installed_versions(from_requirements(store, etl).path) == {"prefect": "3.8.8", "helper": "1.0"}
