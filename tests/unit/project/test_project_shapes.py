"""Which project a flow belongs to, for every supported shape of tests/projects, locked by a real uv."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from prefect_uv.image_facts import Image
from prefect_uv.project import LockedProject
from prefect_uv.project.selection import Selection
from tests.unit.checkouts import MakeCheckout

ALONE = "no project, script or requirements file: only prefect==3.8.8, the image's version"
ADDED = "prefect==3.8.8 is added, the image's version"
MEMBER = "workspace member etl in packages/etl (hatchling, src layout), uv.lock in the workspace root"
DAILY = "packages/etl/src/etl/flows.py:hello"


@dataclass(frozen=True)
class Case:
    """A project of tests/projects, and what is found in it.

    Attributes:
        project: its name.
        summary: the line that the log shows.
        roots: the source roots, relative to the checkout.
        directory: the project's directory, relative to the checkout.
        locks: the directories to lock.
        entrypoint: the deployment's entrypoint.
        variables: job variables, `groups` for PREFECT_UV_GROUPS.
        warning: the warning about ignored files.
    """

    project: str
    summary: str
    roots: set[str] = field(default_factory=lambda: {"."})
    directory: str = "."
    locks: tuple[str, ...] = ()
    entrypoint: str | None = "flows.py:hello"
    variables: dict[str, str] = field(default_factory=dict)
    warning: str = ""


def ignored(name: str) -> str:
    """The warning about another tool's file."""
    return f"nothing is installed from {name}: add a pyproject.toml and run `uv lock`, or add a requirements.txt"


HERE = ("",)
MEMBERS = {"packages/etl/src", "packages/stock/src"}
CASES = [
    Case("plain", "virtual project plain, uv.lock next to it", locks=HERE),
    Case("src-layout", "package shop (uv_build, src layout), uv.lock next to it", {"src"}, locks=HERE, entrypoint=None),
    Case(
        "package-hatchling", "package shop (hatchling), uv.lock next to it", locks=HERE, entrypoint="shop.flows:hello"
    ),
    Case(
        "package-setuptools",
        "package shop (setuptools, src layout), uv.lock next to it",
        {"src"},
        locks=HERE,
        entrypoint="shop.flows:hello",
    ),
    Case("workspace", MEMBER, MEMBERS, "packages/etl", HERE, DAILY),
    Case("workspace", MEMBER, MEMBERS, "packages/etl", HERE, "etl.flows:hello"),
    Case("workspace", MEMBER, MEMBERS, "packages/etl", HERE, "etl.flows.hello"),
    Case("workspace", "virtual project shop, uv.lock next to it", locks=HERE, entrypoint=None),
    Case("workspace", f"{MEMBER}, groups ml", MEMBERS, "packages/etl", HERE, DAILY, {"groups": "ml"}),
    Case(
        "workspace",
        f"{MEMBER}, groups nightly, extras charts",
        MEMBERS,
        "packages/etl",
        HERE,
        None,
        {"package": "etl", "groups": "nightly", "extras": "charts"},
    ),
    Case(
        "workspace",
        f"{MEMBER}, selected by PREFECT_UV_PROJECT",
        MEMBERS,
        "packages/etl",
        HERE,
        None,
        {"project": "packages/etl"},
    ),
    Case(
        "workspace",
        "virtual project apart in packages/apart, uv.lock next to it",
        {"packages/apart"},
        "packages/apart",
        ("", "packages/apart"),
        "packages/apart/flows.py:hello",
    ),
    Case(
        "workspace-without-project",
        "workspace code, uv.lock next to it",
        {".", "packages/etl", "packages/tools"},
        locks=HERE,
    ),
    Case(
        "workspace-without-project",
        "workspace member etl in packages/etl, uv.lock in the workspace root",
        {"packages/etl"},
        "packages/etl",
        HERE,
        variables={"package": "etl"},
    ),
    Case(
        "siblings",
        "package my-app in my_app (uv_build, src layout), uv.lock next to it",
        {"my_app/src", "my_lib/src"},
        "my_app",
        ("", "my_app"),
        "my_app/src/my_app/main.py:hello",
    ),
    Case(
        "siblings",
        "package my-app in my_app (uv_build, src layout), uv.lock next to it",
        {"my_app/src", "my_lib/src"},
        "my_app",
        ("", "my_app"),
        "my_app.main:hello",
    ),
    Case("prefect-client", "virtual project etl, uv.lock next to it", locks=HERE),
    Case("script", "script flows.py without a lock"),
    Case(
        "script",
        "script flows.py without a lock; uv.lock is not used (PREFECT_UV_PROJECT=. uses the project instead)",
        locks=HERE,
    ),
    Case(
        "script",
        "virtual project around, uv.lock next to it, selected by PREFECT_UV_PROJECT",
        locks=HERE,
        variables={"project": "."},
    ),
    Case(
        "script",
        "script flows.py without a lock, selected by PREFECT_UV_PROJECT",
        entrypoint=None,
        variables={"project": "flows.py"},
    ),
    Case("requirements", "requirements file requirements.txt"),
    Case("requirements-without-prefect", f"requirements file requirements.txt; {ADDED}"),
    Case("requirements-local", "requirements file requirements.txt", {".", "lib/src"}),
    Case("requirements-and-lock", "virtual project etl, uv.lock next to it; requirements.txt is not used", locks=HERE),
    Case(
        "requirements-and-lock",
        f"requirements file requirements.txt; {ADDED}, selected by PREFECT_UV_REQUIREMENTS",
        locks=HERE,
        variables={"requirements": "requirements.txt"},
    ),
    Case(
        "requirements-and-lock",
        "virtual project etl, not locked yet; requirements.txt is not used",
        variables={"lock": "relock"},
    ),
    Case("requirements-and-no-lock", "requirements file requirements.txt, because pyproject.toml has no uv.lock"),
    Case(
        "requirements-folder",
        "requirements files requirements/base.txt, requirements/etl.txt, selected by PREFECT_UV_REQUIREMENTS",
        variables={"requirements": "requirements/*.txt"},
    ),
    Case("no-pyproject", ALONE),
    Case("developers-root", f"{ALONE}; no [project] table in pyproject.toml"),
    Case("conda", ALONE, warning=ignored("environment.yml")),
    Case("setup-py", ALONE, warning=ignored("setup.py")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.project}: {case.summary.partition(',')[0]}")
def test_shape(pulled: MakeCheckout, this_image: Image, case: Case) -> None:
    """The project, its source roots, the log line and the warning are as expected."""
    assert this_image.prefect == "3.8.8"
    checkout = pulled(case.project)
    if case.locks:
        checkout.lock(*case.locks)
    project = checkout.look(case.entrypoint, **case.variables)
    assert project.describe() == case.summary
    assert project.ignored_files_warning == case.warning
    assert project.directory == checkout.directory / case.directory
    assert checkout.names(project) == case.roots
    assert project.summary.startswith(project.shape)
    assert isinstance(project, LockedProject) == bool(re.search(r"uv.lock (?:next|in the)|not locked", case.summary))


def test_script_with_its_own_lock(pulled: MakeCheckout) -> None:
    """The lockfile of `uv lock --script` is used, and the project around the script is not."""
    checkout = pulled("script").lock(script="flows.py")
    project = checkout.locked("flows.py:hello")
    assert project.summary == "script flows.py with its lock flows.py.lock"
    assert project.target == ("--script", str(checkout.directory / "flows.py"))
    assert project.lock == checkout.directory / "flows.py.lock"
    assert project.requires_python == ">=3.11"


def test_script_without_lock_with_relock(pulled: MakeCheckout) -> None:
    """With PREFECT_UV_LOCK=relock, a script counts as locked before it has a lockfile."""
    project = pulled("script").locked("flows.py:hello", lock="relock")
    assert project.summary == "script flows.py, not locked yet"


def test_only_the_block_of_a_script_is_an_input(pulled: MakeCheckout) -> None:
    """Code around the block can change without changing the inputs, because it installs nothing."""
    checkout = pulled("script")
    before = checkout.look("flows.py:hello").inputs
    path = checkout.directory / "flows.py"
    path.write_text(path.read_text() + "\n\nprint('more')\n")
    assert checkout.look("flows.py:hello").inputs == before
    path.write_text(path.read_text().replace("trinket", "bauble"))
    assert checkout.look("flows.py:hello").inputs != before


def test_included_files_are_inputs(pulled: MakeCheckout) -> None:
    """Files that requirements include are inputs, constraints too."""
    project = pulled("requirements").unlocked("flows.py:hello")
    assert [name for name, _ in project.inputs] == ["/requirements.txt", "/constraints.txt", "/more/base.txt"]
    assert project.requirements == ()


def test_file_included_from_an_address_is_not_read(pulled: MakeCheckout) -> None:
    """Only uv reads it, when it resolves."""
    checkout = pulled("requirements")
    checkout.write("requirements.txt", "prefect\n-r https://index.invalid/more.txt\n")
    project = checkout.unlocked("flows.py:hello")
    assert [name for name, _ in project.inputs] == ["/requirements.txt"]


def test_requirements_install_a_directory(pulled: MakeCheckout) -> None:
    """Its code is imported from where it is; its pyproject.toml is an input."""
    checkout = pulled("requirements-local")
    project = checkout.unlocked("flows.py:hello")
    assert [package.directory for package in project.local_packages] == [checkout.directory / "lib"]
    assert "/lib/pyproject.toml" in dict(project.inputs)


def test_requirements_in_a_subdirectory_install_a_directory(pulled: MakeCheckout) -> None:
    """Paths are relative to where uv works, not to the file, and need no `./`."""
    checkout = pulled("requirements-local")
    for line in ("./lib", "lib/", "-e lib"):
        checkout.write("requirements/etl.txt", f"prefect\n{line}\n")
        project = checkout.unlocked("flows.py:hello", requirements="requirements/etl.txt")
        assert [package.directory for package in project.local_packages] == [checkout.directory / "lib"]
        assert checkout.names(project) == {".", "lib/src"}


def test_directory_that_a_directory_depends_on(pulled: MakeCheckout) -> None:
    """Its [tool.uv.sources] are followed for the import path and the inputs, as uv follows them."""
    checkout = pulled("requirements-local")
    document = checkout.directory / "lib" / "pyproject.toml"
    checkout.write("lib/pyproject.toml", f'{document.read_text()}\n[tool.uv.sources]\nmore = {{ path = "../more" }}\n')
    checkout.write("more/pyproject.toml", '[project]\nname = "more"\nversion = "1"\n')
    project = checkout.unlocked("flows.py:hello")
    assert checkout.names(project) == {".", "lib/src", "more"}
    assert "/more/pyproject.toml" in dict(project.inputs)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_python_version_with_a_byte_order_mark(pulled: MakeCheckout, encoding: str) -> None:
    """A .python-version that an editor or PowerShell wrote is read."""
    checkout = pulled("requirements")
    (checkout.directory / ".python-version").write_text("3.12\n", encoding)
    assert checkout.look("flows.py:hello").python_request == "3.12"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_requirements_with_a_byte_order_mark(pulled: MakeCheckout, encoding: str) -> None:
    """The first line is read too, so Prefect is not added."""
    checkout = pulled("requirements")
    (checkout.directory / "requirements.txt").write_text("prefect==3.8.1\n", encoding)
    assert checkout.unlocked("flows.py:hello").requirements == ()


@pytest.mark.parametrize(
    ("line", "names_prefect"),
    [
        ("prefect", True),
        ("Prefect[aws]>=3 ; python_version > '3'", True),
        ("prefect_client==3.8.8", True),
        ("prefect @ https://example.invalid/prefect.whl", True),
        ("prefect-aws", False),
        ("# prefect", False),
        ("-c prefect.txt", False),
        ("--index-url https://example.invalid/prefect", False),
        ("./prefect-3.8.8-py3-none-any.whl", False),
    ],
)
def test_prefect_is_added_unless_named(
    pulled: MakeCheckout,
    this_image: Image,
    line: str,
    names_prefect: bool,  # noqa: FBT001
) -> None:
    """The image's Prefect is added unless the file names prefect or prefect-client."""
    checkout = pulled("requirements")
    checkout.write("prefect.txt", "prefect<4\n")
    checkout.write("prefect-3.8.8-py3-none-any.whl", "")
    checkout.write("requirements.txt", f"{line}\n")
    assert checkout.unlocked().requirements == (() if names_prefect else (f"prefect=={this_image.prefect}",))


def test_inputs_of_a_workspace(pulled: MakeCheckout) -> None:
    """The metadata files of members and path dependencies are inputs; code and README are not."""
    workspace = pulled("workspace").lock().look(DAILY)
    files = ["/uv.lock", "/pyproject.toml", "/packages/etl/pyproject.toml", "/packages/stock/pyproject.toml"]
    assert [name for name, _ in workspace.inputs] == files


def test_input_outside_the_project(pulled: MakeCheckout) -> None:
    """The name of a sibling's file is relative to the project."""
    app = pulled("siblings").lock("my_app").look("my_app.main:hello")
    assert [name for name, _ in app.inputs] == ["/uv.lock", "/pyproject.toml", "/../my_lib/pyproject.toml"]


def test_uv_configuration_above_the_project_is_an_input(pulled: MakeCheckout) -> None:
    """A uv.toml above the workspace root is an input, because uv reads the nearest one."""
    checkout = pulled("workspace").lock("packages/apart")
    checkout.write("uv.toml", "no-binary = true\n")
    names = [name for name, _ in checkout.look("packages/apart/flows.py:hello").inputs]
    assert names == ["/uv.lock", "/../../uv.toml", "/pyproject.toml"]


@pytest.mark.parametrize(
    ("name", "locks", "entrypoint", "file"),
    [
        ("workspace", ("",), DAILY, "uv.toml"),
        ("workspace", ("", "packages/apart"), "packages/apart/flows.py:hello", "packages/apart/uv.toml"),
        ("requirements", (), "flows.py:hello", "uv.toml"),
        ("script-without-prefect", (), "flows.py:hello", "uv.toml"),
        ("no-pyproject", (), "flows.py:hello", "uv.toml"),
    ],
)
@pytest.mark.usefixtures("this_image")
def test_uv_configuration(pulled: MakeCheckout, name: str, locks: tuple[str, ...], entrypoint: str, file: str) -> None:
    """Exactly one file is an input for every shape; a member's own is not, because uv reads the root's."""
    checkout = pulled(name).lock(*locks) if locks else pulled(name)
    checkout.write(file, "no-binary = true\n")
    checkout.write("packages/etl/uv.toml", "no-build = true\n")
    project = checkout.look(entrypoint)
    assert project.uv_configuration == checkout.directory / file
    assert b"no-binary = true\n" in dict(project.inputs).values()
    assert b"no-build = true\n" not in dict(project.inputs).values()


def test_selection_is_normalized(pulled: MakeCheckout) -> None:
    """Groups and extras are compared as uv compares them, in any case."""
    project = pulled("workspace").lock().look(DAILY, groups="ML", extras="Charts")
    assert project.selection == Selection(groups=("ml",), extras=("charts",))


def test_module_below_a_source_root(pulled: MakeCheckout) -> None:
    """PREFECT_UV_SOURCE_ROOT is searched first, to find the module and to import it."""
    checkout = pulled("workspace").lock()
    project = checkout.look("etl.flows:hello", source_root="packages/etl/src")
    assert project.directory == checkout.directory / "packages" / "etl"
    assert project.source_roots[0] == checkout.directory / "packages" / "etl" / "src"


def test_entrypoint_outside_the_working_directory(pulled: MakeCheckout) -> None:
    """A file with an absolute path belongs to the project that it is in."""
    checkout = pulled("workspace").lock()
    (checkout.directory.parent / "elsewhere").mkdir()
    elsewhere = type(checkout)(checkout.directory.parent / "elsewhere", checkout.wheels)
    assert elsewhere.look(f"{checkout.directory}/{DAILY}").directory == checkout.directory / "packages" / "etl"


@pytest.mark.parametrize(
    ("files", "variables", "requested", "origin"),
    [
        ({}, {}, "", ""),
        ({".python-version": "3.12\n"}, {}, "3.12", ".python-version"),
        (
            {".python-version": "3.12\n", "packages/etl/.python-version": "# ours\n3.13\n"},
            {},
            "3.13",
            ".python-version",
        ),
        ({".python-version": "3.12\n"}, {"python": "3.11"}, "3.11", "PREFECT_UV_PYTHON"),
    ],
)
def test_python(
    pulled: MakeCheckout, files: dict[str, str], variables: dict[str, str], requested: str, origin: str
) -> None:
    """The setting takes precedence over the nearest .python-version; the lock's versions are returned as well."""
    checkout = pulled("workspace").lock()
    for name, content in files.items():
        checkout.write(name, content)
    project = checkout.look(DAILY, **variables)
    assert (project.python_request, project.python_origin, project.requires_python) == (requested, origin, ">=3.11")


def test_python_version_without_project_is_ignored(pulled: MakeCheckout, this_image: Image) -> None:
    """A deployment without a project runs on the image as it is."""
    checkout = pulled("no-pyproject")
    checkout.write(".python-version", "3.9")
    project = checkout.unlocked("flows.py:hello")
    assert (project.python_request, project.requirements) == ("", (f"prefect=={this_image.prefect}",))
