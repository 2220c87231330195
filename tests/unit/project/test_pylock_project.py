"""Which lockfile is used if there is a pylock.toml, and what is read from it without uv."""

from __future__ import annotations

import pytest

from prefect_uv.project import PylockProject
from tests.unit.checkouts import Checkout

PYLOCK = 'lock-version = "1.0"\ncreated-by = "pdm"\n'
GROUPS = PYLOCK + 'dependency-groups = ["ml"]\ndefault-groups = ["default"]\nextras = ["Charts"]\n'
PROJECT = '[project]\nname = "etl"\nversion = "1"\n'
LOCK = 'version = 1\n\n[[package]]\nname = "etl"\nsource = { virtual = "." }\n'
FLOW = "flows/daily.py:run"
UV_LOCK = "virtual project etl, uv.lock next to it"
INLINE = 'packages = [{ name = "lib", directory = { path = "lib" } }]\n'
DIRECTORY = '\n[[packages]]\nname = "lib"\n\n[packages.directory]\npath = "."\nsubdirectory = "lib"\n'
ARCHIVE = '\n[[ packages ]]\nname = "lib"\nwheels = [{ path = "a.whl" }]\nsdist = { path = "b.tar.gz" }\n'
WITH_ADDRESS = '\n[[packages]]\nname = "path"\nwheels = [{ path = "a.whl" }, { url = "https://index.invalid/a.whl" }]\n'


@pytest.mark.parametrize(
    ("files", "variables", "line"),
    [
        ({"pylock.toml": PYLOCK}, {}, "pylock.toml, locked by pdm"),
        ({"pylock.etl.toml": PYLOCK}, {}, "pylock.etl.toml, locked by pdm"),
        ({"pylock.toml": GROUPS}, {"groups": "ML"}, "pylock.toml, locked by pdm, groups ml"),
        (
            {"pylock.toml": PYLOCK, "pylock.dev.toml": PYLOCK, "requirements.txt": ""},
            {},
            "pylock.toml, locked by pdm; pylock.dev.toml, requirements.txt are not used",
        ),
        (
            {"pylock.a.toml": PYLOCK, "pylock.b.toml": PYLOCK},
            {"project": "pylock.b.toml"},
            "pylock.b.toml, locked by pdm, selected by PREFECT_UV_PROJECT",
        ),
        (
            {"pylock.a.toml": PYLOCK, "pylock.b.toml": PYLOCK, "requirements.txt": "prefect"},
            {},
            "requirements file requirements.txt; pylock.a.toml, pylock.b.toml are not used",
        ),
        (
            {"pylock.toml": PYLOCK, "flows/requirements.txt": ""},
            {},
            "pylock.toml, locked by pdm; flows/requirements.txt is not used",
        ),
        ({"pyproject.toml": PROJECT, "pylock.toml": PYLOCK}, {}, "pylock.toml, locked by pdm"),
        (
            {"pyproject.toml": PROJECT, "uv.lock": LOCK, "pylock.toml": PYLOCK},
            {},
            f"{UV_LOCK}; pylock.toml is not used",
        ),
        (
            {"pyproject.toml": PROJECT, "uv.lock": LOCK, "flows/pylock.toml": PYLOCK},
            {},
            "flows/pylock.toml, locked by pdm; uv.lock is not used",
        ),
        (
            {"pyproject.toml": PROJECT, "flows/pylock.toml": PYLOCK},
            {"lock": "relock"},
            "virtual project etl, not locked yet; flows/pylock.toml is not used",
        ),
        ({"pylock.toml": PYLOCK}, {"lock": "relock"}, "pylock.toml, locked by pdm"),
        (
            {"flows/pyproject.toml": PROJECT, "pylock.toml": PYLOCK},
            {"project": "pylock.toml"},
            "pylock.toml, locked by pdm, selected by PREFECT_UV_PROJECT",
        ),
        (
            {"flows/pylock.toml": PYLOCK},
            {"project": "flows"},
            "flows/pylock.toml, locked by pdm, selected by PREFECT_UV_PROJECT",
        ),
        (
            {"flows/daily.py": "# /// script\n# dependencies = []\n# ///\n", "pylock.toml": PYLOCK},
            {},
            (
                "script flows/daily.py without a lock; pylock.toml is not used (PREFECT_UV_PROJECT=. uses the project"
                " instead)"
            ),
        ),
    ],
)
@pytest.mark.usefixtures("this_image")
def test_lockfile_is_chosen(checkout: Checkout, files: dict[str, str], variables: dict[str, str], line: str) -> None:
    """The nearest lockfile; a uv.lock before a pylock.toml next to it, and both before requirements."""
    for name, content in files.items():
        checkout.write(name, content)
    assert checkout.look(FLOW, **variables).describe() == line


@pytest.mark.parametrize(
    ("files", "variables", "text"),
    [
        (
            {"pylock.a.toml": PYLOCK, "pylock.b.toml": PYLOCK},
            {},
            """error[lockfile-missing]: More than one lockfile in /code: pylock.a.toml, pylock.b.toml.

None of them has the name pylock.toml.

hint: Name one, as in PREFECT_UV_PROJECT=pylock.a.toml; or rename it, commit, and push.""",
        ),
        (
            {"pylock.toml": PYLOCK, "flows/pyproject.toml": PROJECT},
            {},
            """error[lockfile-missing]: No uv.lock in /code/flows.

/code/flows/pyproject.toml is present, /code/flows/uv.lock is not. pylock.toml is not used.

hint: Run `uv lock --project flows`, commit uv.lock, and push. Or name a lockfile, as in \
PREFECT_UV_PROJECT=pylock.toml.""",
        ),
        (
            {"pylock.toml": GROUPS},
            {"groups": "ml,web"},
            """error[selection-invalid]: PREFECT_UV_GROUPS names web, which the project does not define.

/code/pylock.toml defines the dependency groups default, ml.

hint: Correct the job variable, or lock again with the dependency group.""",
        ),
        (
            {"pylock.toml": PYLOCK},
            {"extras": "charts"},
            """error[selection-invalid]: PREFECT_UV_EXTRAS names charts, which the project does not define.

/code/pylock.toml defines no extras.

hint: Correct the job variable, or lock again with the extra.""",
        ),
        (
            {"pylock.toml": PYLOCK},
            {"package": "etl"},
            """error[selection-invalid]: PREFECT_UV_PACKAGE=etl cannot be used: pylock.toml has no workspace members.

hint: Unset the job variable, or name the member's own lockfile in PREFECT_UV_PROJECT.""",
        ),
        (
            {"pylock.toml": PYLOCK},
            {"requirements": "pylock.toml"},
            """error[selection-invalid]: PREFECT_UV_REQUIREMENTS names pylock.toml, which is a lockfile.

hint: Set PREFECT_UV_PROJECT=pylock.toml instead.""",
        ),
        (
            {"pylock.toml": PYLOCK + DIRECTORY},
            {},
            """error[dependency-unreachable]: lib, a path dependency in /code/pylock.toml, was not pulled.

/code/lib does not exist.

hint: Commit and push lib, or remove the dependency and lock again.""",
        ),
        (
            {"pylock.toml": PYLOCK + ARCHIVE},
            {},
            """error[dependency-unreachable]: lib, a path dependency in /code/pylock.toml, was not pulled.

/code/a.whl does not exist.

hint: Commit and push a.whl, or remove the dependency and lock again.""",
        ),
        (
            {"pylock.toml": "<<<<<<< ours\n"},
            {},
            """error[project-invalid]: /code/pylock.toml cannot be read.

Invalid statement (at line 1, column 1)

hint: Lock again, commit, and push.""",
        ),
        (
            {"pylock.toml": 'created-by = ["pdm"]\n'},
            {},
            """error[project-invalid]: /code/pylock.toml does not follow PEP 751.

created-by is a list.

hint: Lock again, commit, and push.""",
        ),
        (
            {"pylock.toml": PYLOCK + "packages = 5\n"},
            {},
            """error[project-invalid]: /code/pylock.toml does not follow PEP 751.

packages is a number.

hint: Lock again, commit, and push.""",
        ),
        (
            {"pylock.toml": f'{PYLOCK}[[packages]]\nname = "lib"\ndirectory = {{ path = "a\\u0000" }}\n'},
            {},
            """error[project-invalid]: /code/pylock.toml does not follow PEP 751.

path has characters that it cannot have.

hint: Lock again, commit, and push.""",
        ),
    ],
)
@pytest.mark.usefixtures("this_image")
def test_refusal(checkout: Checkout, files: dict[str, str], variables: dict[str, str], text: str) -> None:
    """The error's full text."""
    for name, content in files.items():
        checkout.write(name, content)
    assert checkout.refusal(FLOW, **variables) == text


@pytest.mark.parametrize("text", [INLINE, DIRECTORY, ARCHIVE + DIRECTORY, DIRECTORY + WITH_ADDRESS])
def test_source_code_in_the_checkout(checkout: Checkout, text: str) -> None:
    """Directories are imported, however the tool writes them; nothing else has to be there."""
    checkout.write("pylock.toml", PYLOCK + text)
    checkout.write("lib/pyproject.toml", PROJECT)
    checkout.write("b.tar.gz", "")
    project = checkout.look(FLOW)
    assert checkout.names(project) == {".", "lib"}
    assert [name for name, _ in project.inputs] == ["/pylock.toml"]


def test_what_decides_the_environment(checkout: Checkout) -> None:
    """The lockfile and uv's settings are inputs; the Python versions are those of the lockfile."""
    checkout.write("pylock.toml", f'{GROUPS}requires-python = ">=3.11"\n')
    checkout.write("pyproject.toml", f"{PROJECT}[tool.uv]\nno-binary = true\n")
    project = checkout.look(FLOW, groups="ml", extras="charts")
    assert isinstance(project, PylockProject)
    assert project.name == "etl"
    assert project.requires_python == ">=3.11"
    assert [name for name, _ in project.inputs] == ["/pylock.toml", "/pyproject.toml"]
    assert project.options == ("--extra", "charts", "--group", "default", "--group", "ml")
