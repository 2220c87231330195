"""Selections and workspace membership: our decisions compared with uv's own."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_uv.errors import SelectionInvalidError
from prefect_uv.project.files.pyproject import Pyproject
from prefect_uv.project.files.uv_workspace import workspace_root
from tests.unit.checkouts import Checkout, MakeCheckout

NAMES = {
    "groups": ("", "ml", "NIGHTLY", "dev", "web"),
    "only_groups": ("", "nightly", "web"),
    "extras": ("", "Charts", "web"),
    "package": ("", "etl", "apart"),
}
COMBINATIONS = [dict(zip(NAMES, names, strict=True)) for names in itertools.product(*NAMES.values())]
SELECTIONS = [selection for selection in COMBINATIONS if sum(map(bool, selection.values())) <= 2]
OPTIONS = {"groups": "--group", "only_groups": "--only-group", "extras": "--extra", "package": "--package"}
MEMBER = '[project]\nname = "{}"\nversion = "1"\nrequires-python = ">=3.11"\n'


def uv_exports(checkout: Checkout, directory: str, *options: str) -> bool:
    """Whether uv exports a selection from the existing lockfile."""
    command = ["uv", "export", "--quiet", "--offline", "--frozen", "--no-header", "--python", sys.executable]
    command += ["--project", str(checkout.directory / directory), *options]
    finished = subprocess.run(command, cwd=checkout.directory, check=False, capture_output=True, timeout=20)
    return finished.returncode == 0


def we_accept(checkout: Checkout, directory: str, selection: dict[str, str]) -> bool:
    """Whether we accept a selection."""
    try:
        checkout.look(project=directory, **selection)
    except SelectionInvalidError:
        return False
    return True


def test_uv_runs_a_script_without_the_project_around_it(pulled: MakeCheckout) -> None:
    """`uv run` of a file with a block in a locked project installs what the block names, and so do we."""
    checkout = pulled("script")
    checkout.write("pyproject.toml", MEMBER.format("around") + 'dependencies = ["bauble"]\n')
    path = checkout.lock().directory / "flows.py"
    block = path.read_text().partition('"""\n\n')[2].partition("\n\n")[0]
    names = "import importlib.metadata as m; print(*sorted(found.name for found in m.distributions()))"
    path.write_text(f"{block}\n{names}\n")
    command = ["uv", "run", "--quiet", "--offline", "--no-index", "--find-links", str(checkout.wheels)]
    command += ["--python", sys.executable, "--cache-dir", str(checkout.wheels / "cache"), "flows.py"]
    ran = subprocess.run(command, cwd=checkout.directory, check=True, capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["prefect", "trinket"]
    assert checkout.unlocked("flows.py:hello").script


@pytest.mark.parametrize("directory", ["packages/etl", "."])
@pytest.mark.parametrize("is_project", [True, False], ids=["project", "no project"])
def test_uv_refuses_the_same_selections(pulled: MakeCheckout, directory: str, *, is_project: bool) -> None:
    """Each pair of names: defined here, defined elsewhere, spelled differently, and not defined."""
    checkout = pulled("workspace")
    if not is_project:
        text = (checkout.directory / "pyproject.toml").read_text()
        checkout.write("pyproject.toml", text[text.index("[dependency-groups]") :])
    checkout.lock()
    for selection in SELECTIONS:
        options = [word for name, value in selection.items() if value for word in (OPTIONS[name], value)]
        assert we_accept(checkout, directory, selection) == uv_exports(checkout, directory, *options), selection


@pytest.mark.parametrize(
    ("workspace", "between", "is_member"),
    [
        ('members = ["packages/*"]', "", True),
        ('members = ["packages/etl"]', "", True),
        ('members = ["packages/e*"]', "", True),
        ('members = ["packages/*/"]', "", True),
        ('members = ["other/*"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages/etl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages/*l"]', "", False),
        ('members = ["packages/*"]\nexclude = ["*l"]', "", False),
        ('members = ["packages/*"]\nexclude = ["p*l"]', "", False),
        ('members = ["packages/*"]\nexclude = ["*tl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages?etl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages[!x]etl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages[/]etl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["**/etl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["**"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages/**"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages/etl/**"]', "", True),
        ('members = ["packages/*"]\nexclude = ["**/packages/**/etl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["**/packages/**/x/*"]', "", True),
        ('members = ["packages/*"]\nexclude = ["**/tl"]', "", True),
        ('members = ["packages/*"]\nexclude = ["ROOT/packages/*"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages/etl/"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages"]', "", True),
        ('members = ["packages/*"]\nexclude = ["./packages/etl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages/../packages/etl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages//etl"]', "", False),
        ('members = ["packages/*"]\nexclude = ["packages/etl/*"]', "", True),
        ('members = ["p*l"]', "", False),
        ('members = ["**/etl"]', "", True),
        ('members = ["./packages/etl"]', "", True),
        ('members = ["packages/../packages/etl"]', "", True),
        ('members = ["packages//etl"]', "", True),
        ('members = ["packages/*"]', MEMBER.format("between"), False),
        ('members = ["packages/*"]', "[tool.coverage.run]\nbranch = true\n", False),
        ("", "", False),
    ],
)
def test_uv_finds_the_same_root(tmp_path: Path, wheels: Path, workspace: str, between: str, *, is_member: bool) -> None:
    """The nearest pyproject.toml above a project decides whether it is a member."""
    checkout = Checkout(tmp_path, wheels)
    (tmp_path / ".git").mkdir()
    workspace = workspace.replace("ROOT", str(tmp_path))
    checkout.write("packages/etl/pyproject.toml", MEMBER.format("etl"))
    checkout.write(
        "pyproject.toml", MEMBER.format("root") + (f"[tool.uv.workspace]\n{workspace}\n" if workspace else "")
    )
    checkout.lock()
    if between:
        checkout.write("packages/pyproject.toml", between)
    member = Pyproject.read(tmp_path / "packages" / "etl")
    assert member
    root = workspace_root(member, [tmp_path / "packages", tmp_path])
    assert (root.directory == tmp_path) == is_member
    assert uv_exports(checkout, "packages/etl") == is_member
