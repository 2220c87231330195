"""Every mistake of tests/projects is refused before anything is built, with an error that names the remedy."""

from __future__ import annotations

import shutil

import pytest

from prefect_uv.project import prefect_missing_error
from tests.pins import PREFECT
from tests.unit.checkouts import MakeCheckout

FLOW = "flows.py:hello"
DAILY = "packages/etl/src/etl/flows.py:hello"
APP = "my_app/src/my_app/main.py:hello"
PROJECT_HINT = (
    "hint: Set the job variable to a directory with a pyproject.toml, pylock.toml or requirements.txt, to a"
    " pylock.toml, or to a script with a `# /// script` block, relative to the pulled directory."
)
SELECTION_HINT = "hint: Unset these job variables, or set PREFECT_UV_PROJECT to the directory of a project."
PATHS_HINT = "hint: Correct the job variable; its paths are relative to the pulled directory."


@pytest.mark.parametrize(
    ("project", "entrypoint", "variables", "text"),
    [
        (
            "workspace",
            DAILY,
            {"groups": "ml,spark"},
            """error[selection-invalid]: PREFECT_UV_GROUPS names spark, which the project does not define.

/code/packages/etl/pyproject.toml and /code/pyproject.toml define the dependency groups dev, ml, nightly.

hint: Correct the job variable, or add the dependency group and run `uv lock`.""",
        ),
        (
            "plain",
            FLOW,
            {"only_groups": "ml"},
            """error[selection-invalid]: PREFECT_UV_ONLY_GROUPS names ml, which the project does not define.

/code/pyproject.toml defines no dependency groups.

hint: Correct the job variable, or add the dependency group and run `uv lock`.""",
        ),
        (
            "workspace",
            DAILY,
            {"extras": "plots"},
            """error[selection-invalid]: PREFECT_UV_EXTRAS names plots, which the project does not define.

/code/packages/etl/pyproject.toml defines the extra charts.

hint: Correct the job variable, or add the extra and run `uv lock`.""",
        ),
        (
            "workspace",
            None,
            {"package": "apart"},
            """error[selection-invalid]: PREFECT_UV_PACKAGE names apart, which is not a member of the workspace.

The workspace of /code/pyproject.toml has the members etl, shop, stock.

hint: Correct the job variable, or add the package to [tool.uv.workspace] and run `uv lock`.""",
        ),
        (
            "workspace",
            DAILY,
            {"only_groups": "ml", "groups": "nightly", "extras": "charts"},
            """error[selection-invalid]: PREFECT_UV_GROUPS=nightly, PREFECT_UV_ONLY_GROUPS=ml and \
PREFECT_UV_EXTRAS=charts cannot be combined.

PREFECT_UV_ONLY_GROUPS leaves out the project's own dependencies and its extras.

hint: Set PREFECT_UV_ONLY_GROUPS alone, or move its groups to PREFECT_UV_GROUPS.""",
        ),
        (
            "script",
            FLOW,
            {"groups": "etl"},
            """error[selection-invalid]: PREFECT_UV_GROUPS=etl cannot be used: flows.py is a script with its own \
requirements.

hint: Unset these job variables, or set PREFECT_UV_PROJECT=. to use the project instead.""",
        ),
        (
            "requirements",
            FLOW,
            {"extras": "charts"},
            f"""error[selection-invalid]: PREFECT_UV_EXTRAS=charts cannot be used: requirements files have neither \
groups nor extras.

{SELECTION_HINT}""",
        ),
        (
            "no-pyproject",
            FLOW,
            {"package": "etl"},
            f"""error[selection-invalid]: PREFECT_UV_PACKAGE=etl cannot be used: there is no project.

{SELECTION_HINT}""",
        ),
        (
            "requirements-folder",
            FLOW,
            {"requirements": "requirements/etl.txt", "project": "."},
            """error[selection-invalid]: PREFECT_UV_REQUIREMENTS and PREFECT_UV_PROJECT cannot be combined.

Requirements files are installed instead of a project.

hint: Set only PREFECT_UV_REQUIREMENTS, with paths relative to the pulled directory.""",
        ),
        (
            "requirements-folder",
            FLOW,
            {"requirements": "requirements/prod*.txt"},
            f"""error[requirements-missing]: PREFECT_UV_REQUIREMENTS names requirements/prod*.txt, but /code has \
no such file.

It has requirements/base.txt, requirements/dev.in, requirements/etl.txt.

{PATHS_HINT}""",
        ),
        (
            "src-layout",
            "shop.flows:report",
            {"source_root": "src,lib"},
            """error[source-root-missing]: PREFECT_UV_SOURCE_ROOT names a directory that is not in /code.

Missing: /code/lib.

hint: List directories relative to the pulled code, such as `src` or `packages/etl/src`, separated by commas.""",
        ),
        (
            "requirements-include-missing",
            FLOW,
            {},
            """error[requirements-missing]: /code/requirements.txt includes base.txt, which does not exist.

There is no file /code/base.txt.

hint: Push it, or remove the line.""",
        ),
        (
            "requirements-local-missing",
            FLOW,
            {},
            """error[dependency-unreachable]: /code/requirements.txt installs ./lib, which was not pulled.

/code/lib does not exist.

hint: Pull it with the code, or remove the line.""",
        ),
        (
            "requirements-hashed",
            FLOW,
            {},
            """error[prefect-missing]: Prefect is not among the hashed requirements in requirements.txt.

Without hashes, prefect==3.8.8 would be added, which is the image's version.

hint: Add prefect==3.8.8 to the file that the hashes are compiled from, compile it again, commit, and push.""",
        ),
        (
            "script-broken",
            FLOW,
            {},
            """error[project-invalid]: The `# /// script` block of /code/flows.py cannot be read.

Unclosed array (at end of document)

hint: Fix it, commit, and push.""",
        ),
        (
            "script-twice",
            FLOW,
            {},
            """error[project-invalid]: /code/flows.py has 2 `# /// script` blocks.

hint: Keep only one of them.""",
        ),
        (
            "workspace",
            None,
            {"project": "packages"},
            f"""error[project-missing]: PREFECT_UV_PROJECT names packages, but there is no project there.

/code/packages has apart, etl, stock.

{PROJECT_HINT}""",
        ),
        (
            "workspace",
            None,
            {"project": "packages/web"},
            f"""error[project-missing]: PREFECT_UV_PROJECT names packages/web, but there is no project there.

/code/packages/web does not exist; /code/packages has apart, etl, stock.

{PROJECT_HINT}""",
        ),
        (
            "developers-root",
            None,
            {"project": "."},
            f"""error[project-missing]: PREFECT_UV_PROJECT names ., but there is no project there.

/code has flows.py, pyproject.toml.

{PROJECT_HINT}""",
        ),
        (
            "plain",
            None,
            {"project": "flows.py"},
            f"""error[project-missing]: PREFECT_UV_PROJECT names flows.py, but there is no project there.

/code/flows.py is a file without a `# /// script` block.

{PROJECT_HINT}""",
        ),
        (
            "plain",
            "daily.py:hello",
            {},
            """error[flow-file-missing]: The deployment's entrypoint daily.py:hello is not in /code.

There is no file /code/daily.py.

hint: Push the file, or correct the deployment's entrypoint, which is relative to the pulled directory.""",
        ),
    ],
)
@pytest.mark.usefixtures("this_image")
def test_refusal(
    pulled: MakeCheckout, project: str, entrypoint: str | None, variables: dict[str, str], text: str
) -> None:
    """The error's full text."""
    checkout = pulled(project)
    if (checkout.directory / "pyproject.toml").is_file() and project != "developers-root":
        checkout.lock()
    assert checkout.refusal(entrypoint, **variables) == text


def test_project_excluded_from_the_workspace(pulled: MakeCheckout) -> None:
    """The workspace's lockfile is not used for it."""
    checkout = pulled("workspace").lock()
    assert checkout.refusal("packages/apart/flows.py:hello") == (
        """error[lockfile-missing]: No uv.lock in /code/packages/apart.

/code/packages/apart/pyproject.toml is present, /code/packages/apart/uv.lock is not. /code/uv.lock belongs to another \
project: apart is not a member of its workspace.

hint: Run `uv lock --project packages/apart`, commit uv.lock, and push."""
    )


def test_package_below_another_project(pulled: MakeCheckout) -> None:
    """The lockfile of the repository's root is not used for a package that is not its member."""
    assert pulled("siblings").lock().refusal(APP) == (
        """error[lockfile-missing]: No uv.lock in /code/my_app.

/code/my_app/pyproject.toml is present, /code/my_app/uv.lock is not. /code/uv.lock belongs to another project: my-app \
is not a member of its workspace.

hint: Run `uv lock --project my_app`, commit uv.lock, and push."""
    )


def test_lockfile_of_another_tool(pulled: MakeCheckout) -> None:
    """The error says that poetry.lock is not used."""
    checkout = pulled("poetry")
    checkout.write("pyproject.toml", "[project]\nname = 'etl'\nversion = '1'\n")
    assert checkout.refusal(FLOW) == (
        """error[lockfile-missing]: No uv.lock in /code.

/code/pyproject.toml is present, /code/uv.lock is not. poetry.lock is not used.

hint: Run `uv lock`, commit uv.lock, and push. Or turn poetry.lock into a pylock.toml with `poetry export --format \
pylock.toml --output pylock.toml`."""
    )


def test_broken_pyproject(pulled: MakeCheckout) -> None:
    """A broken file is an error; no other file is used instead."""
    checkout = pulled("plain").lock()
    checkout.write("pyproject.toml", "<<<<<<< ours\n")
    assert checkout.refusal(FLOW) == (
        """error[project-invalid]: /code/pyproject.toml cannot be read.

Invalid statement (at line 1, column 1)

hint: Fix it, commit, and push."""
    )


UNREACHABLE = """error[dependency-unreachable]: my-lib, a path dependency in /code/my_app/uv.lock, was not pulled.

/code/my_lib {}.

hint: {}"""


@pytest.mark.parametrize(
    ("name", "content", "found", "hint"),
    [
        ("README.md", "", "does not exist", "Commit and push my_lib, or remove the dependency and lock again."),
        (
            ".git/info/sparse-checkout",
            "/my_app/\n",
            "does not exist",
            "Add my_lib to the `directories` of the `git_clone` step.",
        ),
        (
            ".gitmodules",
            '[submodule "lib"]\n\tpath = my_lib\n\turl = https://git.invalid/lib\n',
            "is empty",
            "It is in a submodule: set `include_submodules: true` in the `git_clone` step.",
        ),
    ],
    ids=["never pushed", "sparse", "submodule"],
)
def test_path_dependency_not_pulled(pulled: MakeCheckout, name: str, content: str, found: str, hint: str) -> None:
    """The hint depends on why it is missing."""
    checkout = pulled("siblings").lock("my_app")
    shutil.rmtree(checkout.directory / "my_lib")
    if found == "is empty":
        (checkout.directory / "my_lib").mkdir()
    checkout.write(name, content)
    assert checkout.refusal(APP) == UNREACHABLE.format(found, hint)


def test_path_dependency_outside_the_checkout(pulled: MakeCheckout) -> None:
    """Another pull step may bring it; if none did, the hint says so."""
    checkout = pulled("outside-dependency")
    shared = checkout.directory.parent / "shared"
    shared.mkdir()
    (shared / "pyproject.toml").write_text('[project]\nname = "shared"\nversion = "1"\n')
    checkout.lock("app")
    assert shared in checkout.look("app/flows.py:hello").source_roots
    shutil.rmtree(shared)
    assert checkout.refusal("app/flows.py:hello").replace(str(shared), "/shared") == (
        """error[dependency-unreachable]: shared, a path dependency in /code/app/uv.lock, was not pulled.

/shared does not exist.

hint: It is outside the pulled code in /code: move it inside, or add a pull step for it."""
    )


def test_frozen_needs_only_selected_members(pulled: MakeCheckout) -> None:
    """With `frozen` uv reads no other members, so they need not be pulled."""
    checkout = pulled("workspace-without-project").lock()
    shutil.rmtree(checkout.directory / "packages" / "tools")
    assert checkout.look(FLOW, package="etl", lock="frozen").name == "etl"
    assert "error[dependency-unreachable]: tools" in checkout.refusal(FLOW, package="etl")


@pytest.mark.parametrize(
    ("project", "variables", "text"),
    [
        (
            "only-group",
            {"only_groups": "etl"},
            """error[prefect-missing]: Prefect is not among the selected dependencies (only groups etl).

etl depends on it, but PREFECT_UV_ONLY_GROUPS leaves out the project's dependencies.

hint: Set PREFECT_UV_GROUPS=etl instead of PREFECT_UV_ONLY_GROUPS=etl.""",
        ),
        (
            "prefect-in-group",
            {},
            """error[prefect-missing]: Prefect is not among the project's locked dependencies.

It is in the dependency group flows.

hint: Set PREFECT_UV_GROUPS=flows.""",
        ),
        (
            "prefect-in-group",
            {"groups": "ml"},
            """error[prefect-missing]: Prefect is not among the selected dependencies (groups ml).

It is in the dependency group flows.

hint: Set PREFECT_UV_GROUPS=ml,flows.""",
        ),
        (
            "prefect-in-group",
            {"only_groups": "ml"},
            """error[prefect-missing]: Prefect is not among the selected dependencies (only groups ml).

It is in the dependency group flows.

hint: Set PREFECT_UV_ONLY_GROUPS=ml,flows.""",
        ),
        (
            "prefect-in-extra",
            {},
            """error[prefect-missing]: Prefect is not among the project's locked dependencies.

It is in the extra flows.

hint: Set PREFECT_UV_EXTRAS=flows.""",
        ),
        (
            "workspace-without-project",
            {"package": "tools"},
            """error[prefect-missing]: Prefect is not among the selected dependencies (package tools).

The workspace member etl depends on it.

hint: Set PREFECT_UV_PACKAGE=etl.""",
        ),
        (
            "no-prefect",
            {},
            """error[prefect-missing]: Prefect is not among the project's locked dependencies.

/code/uv.lock does not lock prefect or prefect-client for no-prefect on this platform.

hint: Run `uv add prefect`, commit pyproject.toml and uv.lock, and push.""",
        ),
    ],
)
def test_selection_without_prefect(pulled: MakeCheckout, project: str, variables: dict[str, str], text: str) -> None:
    """The error says where Prefect is instead, and what to set or to run."""
    checkout = pulled(project).lock()
    assert checkout.text(prefect_missing_error(checkout.locked(FLOW, **variables))) == text


def test_script_without_prefect(pulled: MakeCheckout) -> None:
    """The hint is the uv command that adds Prefect to the script."""
    checkout = pulled("script-without-prefect").lock(script="flows.py")
    assert checkout.text(prefect_missing_error(checkout.locked(FLOW))) == (
        """error[prefect-missing]: Prefect is not among the dependencies of flows.py.

/code/flows.py.lock does not lock prefect or prefect-client for this platform.

hint: Run `uv add --script flows.py prefect`, commit flows.py and flows.py.lock, and push."""
    )


def test_unlocked_script_without_prefect(pulled: MakeCheckout) -> None:
    """Without a lockfile, the error comes after uv has resolved the script."""
    checkout = pulled("script-without-prefect")
    assert checkout.text(prefect_missing_error(checkout.look(FLOW), ["trinket"])) == (
        """error[prefect-missing]: Prefect is not among the dependencies of flows.py.

/code/flows.py does not name prefect or prefect-client for this platform.

hint: Run `uv add --script flows.py prefect`, commit flows.py, and push."""
    )


def test_requirements_resolved_without_prefect(pulled: MakeCheckout) -> None:
    """The file names Prefect, but not for this platform."""
    checkout = pulled("requirements")
    checkout.write("requirements.txt", "prefect ; sys_platform == 'win32'\ntrinket\n")
    assert checkout.text(prefect_missing_error(checkout.look(FLOW), ["trinket"])) == (
        """error[prefect-missing]: Prefect is not among the requirements in requirements.txt.

uv resolved them to trinket.

hint: Add `prefect`, commit, and push."""
    )


def test_member_without_prefect(pulled: MakeCheckout) -> None:
    """The hint is the uv command that adds Prefect to the member."""
    checkout = pulled("workspace")
    path = checkout.directory / "packages" / "etl" / "pyproject.toml"
    path.write_text(path.read_text().replace(f'"prefect=={PREFECT}", ', ""))
    hint = "hint: Run `uv add --package etl prefect`, commit pyproject.toml and uv.lock, and push."
    assert checkout.lock().text(prefect_missing_error(checkout.locked(DAILY))).endswith(hint)


@pytest.mark.parametrize(
    ("project", "file"),
    [("requirements", "requirements.txt"), ("requirements", ".python-version"), ("plain", "uv.lock")],
)
def test_file_that_is_not_utf8(pulled: MakeCheckout, project: str, file: str) -> None:
    """A file in an encoding that uv does not read is refused."""
    checkout = pulled(project)
    (checkout.directory / file).write_bytes(b"caf\xe9\n")
    assert checkout.refusal("flows.py:hello") == (
        f"""error[project-invalid]: /code/{file} is not UTF-8 text.

'utf-8' codec can't decode byte 0xe9 in position 3: invalid continuation byte.

hint: Save it as UTF-8, commit, and push."""
    )


@pytest.mark.parametrize("content", [b"-c \0names", b"-r a\0.txt", b"six\0"])
def test_file_with_nul(pulled: MakeCheckout, content: bytes) -> None:
    """No path and no text has NUL; uv does not read such a file either."""
    checkout = pulled("requirements")
    (checkout.directory / "requirements.txt").write_bytes(content)
    assert checkout.refusal("flows.py:hello").startswith(
        f"error[project-invalid]: /code/requirements.txt is not text.\n\nIt has NUL at position {content.index(0)}."
    )
