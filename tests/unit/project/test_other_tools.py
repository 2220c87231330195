"""Projects of Poetry, pdm, hatch and Pipenv: nothing that they declare is left out silently."""

from __future__ import annotations

import pytest

from tests.unit.checkouts import Checkout

FLOW = "flows/daily.py:run"
POETRY = """[tool.poetry]
name = "etl"
[tool.poetry.dependencies]
python = ">=3.11"
Bauble = "^1"
trinket = {git = "https://git.invalid/trinket", branch = "main"}
fast = {version = "*", optional = true}
colour = {version = "*", markers = "sys_platform == 'win32'"}
many = [{version = "<2", python = "<3.10"}, {version = ">=2", python = ">=3.10"}]
[tool.poetry.group.test.dependencies]
pytest = "*"
"""
POETRY_2 = (
    '[project]\nname = "etl"\nversion = "1"\ndynamic = ["dependencies"]\n' + POETRY.partition('name = "etl"\n')[2]
)
ONLY_PYTHON = '[tool.poetry.dependencies]\npython = "*"\n'
PIPFILE = """[packages]
bauble = "*"
trinket = {version = "*", extras = ["x"]}
old = {version = "*", sys_platform = "== 'win32'"}
"""
PROJECT = """[project]
name = "etl"
version = "1"
dependencies = ["bauble>=1", "trinket[x] @ https://index.invalid/t.whl", "tomli ; python_version < '3'", "prefect"]
[project.optional-dependencies]
charts = ["plots"]
"""
DYNAMIC = '[project]\nname = "etl"\nversion = "1"\ndynamic = ["dependencies"]\n'
LOCK = 'version = 1\n\n[[package]]\nname = "etl"\nsource = { virtual = "." }\n'
COMPLETE = "prefect\nbauble==1.0\ntrinket==1.0\n"
LINE = "requirements file requirements.txt"


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"pyproject.toml": POETRY, "requirements.txt": COMPLETE}, f"{LINE}, because only Poetry reads pyproject.toml"),
        ({"Pipfile": PIPFILE, "requirements.txt": COMPLETE}, f"{LINE}, because only Pipenv reads Pipfile"),
        ({"pyproject.toml": PROJECT, "requirements.txt": COMPLETE}, f"{LINE}, because pyproject.toml has no uv.lock"),
        (
            {"pyproject.toml": PROJECT, "requirements.txt": "-e .\nprefect\n"},
            f"{LINE}, because pyproject.toml has no uv.lock",
        ),
        (
            {"pyproject.toml": DYNAMIC, "requirements.txt": "prefect\n"},
            f"{LINE}, because pyproject.toml has no uv.lock",
        ),
        (
            {"pyproject.toml": PROJECT, "flows/requirements.txt": "prefect\n"},
            "requirements file flows/requirements.txt; pyproject.toml is not used",
        ),
        (
            {"pyproject.toml": POETRY, "pylock.toml": 'created-by = "poetry"\n'},
            "pylock.toml, locked by poetry",
        ),
        (
            {"pyproject.toml": PROJECT, "uv.lock": LOCK, "flows/Pipfile": PIPFILE},
            "virtual project etl, uv.lock next to it; flows/Pipfile is not used",
        ),
        (
            {"pyproject.toml": PROJECT, "uv.lock": LOCK, "Pipfile": PIPFILE},
            "virtual project etl, uv.lock next to it",
        ),
        (
            {"pyproject.toml": ONLY_PYTHON},
            "no project, script or requirements file: only prefect==3.8.8, the image's version",
        ),
    ],
)
@pytest.mark.usefixtures("this_image")
def test_what_is_installed(checkout: Checkout, files: dict[str, str], line: str) -> None:
    """Requirements that have the dependencies, or a lockfile; the line says what is not read."""
    for name, content in files.items():
        checkout.write(name, content)
    assert checkout.look(FLOW).describe() == line


NO_PYLOCK = """error[other-tool]: {} declares its dependencies for {}, and there is no pylock.toml.

/code/{} names bauble, trinket; uv does not read them there.{}

hint: Run `{}`, commit pylock.toml, and push; or move the project to uv (`uvx migrate-to-uv`); or name requirements \
files in PREFECT_UV_REQUIREMENTS."""
EXPORT = "poetry export --format pylock.toml --output pylock.toml"
GENERATE = "pipenv pylock --generate"


@pytest.mark.parametrize(
    ("files", "variables", "text"),
    [
        (
            {"pyproject.toml": POETRY, "poetry.lock": ""},
            {},
            NO_PYLOCK.format("pyproject.toml", "Poetry", "pyproject.toml", " poetry.lock is not used.", EXPORT),
        ),
        (
            {"pyproject.toml": POETRY},
            {"project": "."},
            NO_PYLOCK.format("pyproject.toml", "Poetry", "pyproject.toml", "", EXPORT),
        ),
        (
            {"flows/Pipfile": PIPFILE, "requirements.txt": COMPLETE, "pyproject.toml": PROJECT},
            {},
            NO_PYLOCK.format("flows/Pipfile", "Pipenv", "flows/Pipfile", "", GENERATE),
        ),
        (
            {"Pipfile": PIPFILE, "requirements.txt": "prefect\ntrinket\n"},
            {},
            f"""error[other-tool]: requirements.txt lacks dependencies of Pipfile, which only Pipenv reads.

/code/Pipfile also names bauble.

hint: Run `{GENERATE}`, commit pylock.toml, and push; or move the project to uv (`uvx migrate-to-uv`); or set \
PREFECT_UV_REQUIREMENTS=requirements.txt to install only that file.""",
        ),
        (
            {"pyproject.toml": PROJECT, "requirements.txt": "prefect\n"},
            {},
            """error[lockfile-missing]: No uv.lock in /code, and requirements.txt lacks dependencies of pyproject.toml.

/code/pyproject.toml also names bauble, trinket.

hint: Run `uv lock`, commit uv.lock, and push; or set PREFECT_UV_REQUIREMENTS=requirements.txt to install only that \
file.""",
        ),
        (
            {"flows/pyproject.toml": POETRY_2, "flows/requirements.txt": "prefect\nbauble\n"},
            {},
            """error[lockfile-missing]: No uv.lock in /code/flows, and flows/requirements.txt lacks dependencies of \
flows/pyproject.toml.

/code/flows/pyproject.toml also names trinket.

hint: Run `uv lock --project flows`, commit uv.lock, and push; or set PREFECT_UV_REQUIREMENTS=flows/requirements.txt \
to install only that file.""",
        ),
        (
            {"pyproject.toml": PROJECT, "pdm.lock": ""},
            {},
            """error[lockfile-missing]: No uv.lock in /code.

/code/pyproject.toml is present, /code/uv.lock is not. pdm.lock is not used.

hint: Run `uv lock`, commit uv.lock, and push. Or turn pdm.lock into a pylock.toml with `pdm export --format pylock \
--output pylock.toml`.""",
        ),
    ],
)
@pytest.mark.usefixtures("this_image")
def test_refusal(checkout: Checkout, files: dict[str, str], variables: dict[str, str], text: str) -> None:
    """The error's full text: how to go on with that tool, without it, and with the file that is there."""
    for name, content in files.items():
        checkout.write(name, content)
    assert checkout.refusal(FLOW, **variables) == text
    if "requirements.txt" in text:
        named = "flows/requirements.txt" if "flows/requirements.txt" in files else "requirements.txt"
        assert checkout.look(FLOW, requirements=named).describe().endswith("selected by PREFECT_UV_REQUIREMENTS")
