"""Which project a flow belongs to: every supported shape of tests/projects, as a real uv locks it."""

from __future__ import annotations

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
    """A project of tests/projects, what is locked in it, and what a look finds.

    Attributes:
        project: its name.
        summary: the line that the log shows.
        roots: where code is imported from.
        directory: of the project.
        locks: the directories to lock.
        entrypoint: of the deployment.
        variables: job variables, `groups` for PREFECT_UV_GROUPS.
        warning: the second line.
    """

    project: str
    summary: str
    roots: set[str] = field(default_factory=lambda: {"."})
    directory: str = "."
    locks: tuple[str, ...] = ()
    entrypoint: str | None = "flows.py:hello"
    variables: dict[str, str] = field(default_factory=dict)
    warning: str = ""


def foreign(name: str) -> str:
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
    Case("poetry", ALONE, warning=foreign("pyproject.toml")),
    Case("pipenv", ALONE, warning=foreign("Pipfile")),
    Case("conda", ALONE, warning=foreign("environment.yml")),
    Case("setup-py", ALONE, warning=foreign("setup.py")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.project}: {case.summary.partition(',')[0]}")
def test_shape(pulled: MakeCheckout, this_image: Image, case: Case) -> None:
    """What is found, where its code is, and the line that says it."""
    assert this_image.prefect == "3.8.8"
    checkout = pulled(case.project)
    if case.locks:
        checkout.lock(*case.locks)
    project = checkout.look(case.entrypoint, **case.variables)
    assert project.summary == case.summary
    assert project.ignored_files_warning == case.warning
    assert project.directory == checkout.directory / case.directory
    assert checkout.names(project) == case.roots
    assert project.summary.startswith(project.shape)
    assert isinstance(project, LockedProject) == bool(
        "lock" in project.summary and "no uv.lock" not in case.summary and "without" not in case.summary
    )


def test_script_with_its_own_lock(pulled: MakeCheckout) -> None:
    """`uv lock --script` writes it beside the script; the project around it has nothing to say."""
    checkout = pulled("script").lock(script="flows.py")
    project = checkout.locked("flows.py:hello")
    assert project.summary == "script flows.py with its lock flows.py.lock"
    assert project.target == ("--script", str(checkout.directory / "flows.py"))
    assert project.lock == checkout.directory / "flows.py.lock"
    assert project.requires_python == ">=3.11"


def test_script_is_locked_when_it_is_told(pulled: MakeCheckout) -> None:
    """PREFECT_UV_LOCK=relock makes a lock where there is none."""
    project = pulled("script").locked("flows.py:hello", lock="relock")
    assert project.summary == "script flows.py, not locked yet"


def test_code_of_a_script_is_no_input(pulled: MakeCheckout) -> None:
    """Its block is, since the rest of the file installs nothing."""
    checkout = pulled("script")
    before = checkout.look("flows.py:hello").inputs
    path = checkout.directory / "flows.py"
    path.write_text(path.read_text() + "\n\nprint('more')\n")
    assert checkout.look("flows.py:hello").inputs == before
    path.write_text(path.read_text().replace("trinket", "bauble"))
    assert checkout.look("flows.py:hello").inputs != before


def test_what_requirements_include_is_an_input(pulled: MakeCheckout) -> None:
    """Files that are included, constraints too."""
    project = pulled("requirements").unlocked("flows.py:hello")
    assert [name for name, _ in project.inputs] == ["/requirements.txt", "/constraints.txt", "/more/base.txt"]
    assert project.requirements == ()


def test_what_is_included_from_an_address_is_not_read(pulled: MakeCheckout) -> None:
    """Neither by the look nor for the key: uv reads it when it resolves."""
    checkout = pulled("requirements")
    checkout.write("requirements.txt", "prefect\n-r https://index.invalid/more.txt\n")
    project = checkout.unlocked("flows.py:hello")
    assert [name for name, _ in project.inputs] == ["/requirements.txt"]


def test_requirements_install_a_directory(pulled: MakeCheckout) -> None:
    """Its code is imported from where it is; its pyproject.toml says what else is installed."""
    checkout = pulled("requirements-local")
    project = checkout.unlocked("flows.py:hello")
    assert [package.directory for package in project.local_packages] == [checkout.directory / "lib"]
    assert "/lib/pyproject.toml" in dict(project.inputs)


def test_requirements_elsewhere_install_a_directory(pulled: MakeCheckout) -> None:
    """Paths begin where uv works, not at the file; a directory needs no dot before it."""
    checkout = pulled("requirements-local")
    for line in ("./lib", "lib/", "-e lib"):
        checkout.write("requirements/etl.txt", f"prefect\n{line}\n")
        project = checkout.unlocked("flows.py:hello", requirements="requirements/etl.txt")
        assert [package.directory for package in project.local_packages] == [checkout.directory / "lib"]
        assert checkout.names(project) == {".", "lib/src"}


def test_directory_that_a_directory_depends_on(pulled: MakeCheckout) -> None:
    """By its sources: uv follows them, and so does the import path."""
    checkout = pulled("requirements-local")
    document = checkout.directory / "lib" / "pyproject.toml"
    checkout.write("lib/pyproject.toml", f'{document.read_text()}\n[tool.uv.sources]\nmore = {{ path = "../more" }}\n')
    checkout.write("more/pyproject.toml", '[project]\nname = "more"\nversion = "1"\n')
    project = checkout.unlocked("flows.py:hello")
    assert checkout.names(project) == {".", "lib/src", "more"}
    assert "/more/pyproject.toml" in dict(project.inputs)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_python_version_with_a_byte_order_mark(pulled: MakeCheckout, encoding: str) -> None:
    """As editors and PowerShell write it."""
    checkout = pulled("requirements")
    (checkout.directory / ".python-version").write_text("3.12\n", encoding)
    assert checkout.look("flows.py:hello").python_request == "3.12"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_requirements_with_a_byte_order_mark(pulled: MakeCheckout, encoding: str) -> None:
    """Its first line counts: Prefect is not added."""
    checkout = pulled("requirements")
    (checkout.directory / "requirements.txt").write_text("prefect==3.8.1\n", encoding)
    assert checkout.unlocked("flows.py:hello").requirements == ()


@pytest.mark.parametrize(
    ("line", "named"),
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
def test_prefect_by_name(pulled: MakeCheckout, this_image: Image, line: str, named: bool) -> None:  # noqa: FBT001
    """Prefect counts when the file names it, in whole or as the client; else the image's is added."""
    checkout = pulled("requirements")
    checkout.write("prefect.txt", "prefect<4\n")
    checkout.write("prefect-3.8.8-py3-none-any.whl", "")
    checkout.write("requirements.txt", f"{line}\n")
    assert checkout.unlocked().requirements == (() if named else (f"prefect=={this_image.prefect}",))


def test_all_that_can_change_a_lock_is_an_input(pulled: MakeCheckout) -> None:
    """Members and path dependencies, wherever they are; code and README are not."""
    workspace = pulled("workspace").lock().look(DAILY)
    files = ["/uv.lock", "/pyproject.toml", "/packages/etl/pyproject.toml", "/packages/stock/pyproject.toml"]
    assert [name for name, _ in workspace.inputs] == files


def test_input_outside_the_project(pulled: MakeCheckout) -> None:
    """A sibling's name begins at the project."""
    app = pulled("siblings").lock("my_app").look("my_app.main:hello")
    assert [name for name, _ in app.inputs] == ["/uv.lock", "/pyproject.toml", "/../my_lib/pyproject.toml"]


def test_settings_of_uv_above_the_project_are_an_input(pulled: MakeCheckout) -> None:
    """uv reads the nearest uv.toml or [tool.uv] from the workspace's root upwards."""
    checkout = pulled("workspace").lock("packages/apart")
    checkout.write("uv.toml", "no-binary = true\n")
    names = [name for name, _ in checkout.look("packages/apart/flows.py:hello").inputs]
    assert names == ["/uv.lock", "/../../uv.toml", "/pyproject.toml"]


@pytest.mark.parametrize(
    ("project", "locks", "entrypoint", "file"),
    [
        ("workspace", ("",), DAILY, "uv.toml"),
        ("workspace", ("", "packages/apart"), "packages/apart/flows.py:hello", "packages/apart/uv.toml"),
        ("requirements", (), "flows.py:hello", "uv.toml"),
        ("script-without-prefect", (), "flows.py:hello", "uv.toml"),
        ("no-pyproject", (), "flows.py:hello", "uv.toml"),
    ],
)
@pytest.mark.usefixtures("this_image")
def test_settings_of_uv(pulled: MakeCheckout, project: str, locks: tuple[str, ...], entrypoint: str, file: str) -> None:
    """One file counts, whatever the shape; a member's own does not, since uv reads the root's."""
    checkout = pulled(project).lock(*locks) if locks else pulled(project)
    checkout.write(file, "no-binary = true\n")
    checkout.write("packages/etl/uv.toml", "no-build = true\n")
    found = checkout.look(entrypoint)
    assert found.uv_configuration == checkout.directory / file
    assert b"no-binary = true\n" in dict(found.inputs).values()
    assert b"no-build = true\n" not in dict(found.inputs).values()


def test_selection_of_a_project(pulled: MakeCheckout) -> None:
    """Names as uv compares them."""
    project = pulled("workspace").lock().look(DAILY, groups="ML", extras="Charts")
    assert project.selection == Selection(groups=("ml",), extras=("charts",))


def test_module_below_a_source_root(pulled: MakeCheckout) -> None:
    """PREFECT_UV_SOURCE_ROOT comes first, for finding the module as well as for importing it."""
    checkout = pulled("workspace").lock()
    project = checkout.look("etl.flows:hello", source_root="packages/etl/src")
    assert project.directory == checkout.directory / "packages" / "etl"
    assert project.source_roots[0] == checkout.directory / "packages" / "etl" / "src"


def test_entrypoint_that_is_not_below_the_working_directory(pulled: MakeCheckout) -> None:
    """A file by its absolute path belongs to the project that it is in."""
    checkout = pulled("workspace").lock()
    (checkout.directory.parent / "elsewhere").mkdir()
    elsewhere = type(checkout)(checkout.directory.parent / "elsewhere", checkout.wheels)
    assert elsewhere.look(f"{checkout.directory}/{DAILY}").directory == checkout.directory / "packages" / "etl"


@pytest.mark.parametrize(
    ("files", "variables", "request_", "origin"),
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
    pulled: MakeCheckout, files: dict[str, str], variables: dict[str, str], request_: str, origin: str
) -> None:
    """The setting counts most, then the nearest .python-version; what the lock accepts is told beside it."""
    checkout = pulled("workspace").lock()
    for name, content in files.items():
        checkout.write(name, content)
    project = checkout.look(DAILY, **variables)
    assert (project.python_request, project.python_origin, project.requires_python) == (request_, origin, ">=3.11")


def test_python_version_file_alone_asks_for_nothing(pulled: MakeCheckout, this_image: Image) -> None:
    """A deployment that needs nothing runs on the image as it is."""
    checkout = pulled("no-pyproject")
    checkout.write(".python-version", "3.9")
    project = checkout.unlocked("flows.py:hello")
    assert (project.python_request, project.requirements) == ("", (f"prefect=={this_image.prefect}",))
