"""Find a project: layouts, lockfile, checkout boundaries, .python-version."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_uv.errors import FlowFileMissingError, LockfileMissingError
from prefect_uv.image_facts import Image
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.preparation import find_flow_project
from prefect_uv.project import UnlockedProject, find_project
from prefect_uv.pull import Checkout
from prefect_uv.settings import Settings

LOCK = 'version = 1\n\n[[package]]\nname = "etl"\nsource = { virtual = "." }\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout of a project without a source directory."""
    directory = tmp_path / "checkout"
    (directory / ".git").mkdir(parents=True)
    write(directory, "pyproject.toml", "[project]\nname = 'etl'\n")
    write(directory, "uv.lock", LOCK)
    write(directory, "flow.py", "")
    return directory


def write(directory: Path, name: str, content: str) -> None:
    """Write one file."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_flat_layout(checkout: Path) -> None:
    """Project, lockfile and code are in one directory."""
    project = find_project(checkout, "flow.py:main", Settings())
    assert (project.directory, project.root, project.source_roots) == (checkout, checkout, (checkout,))
    assert project.python_request == ""
    assert dict(project.inputs) == {"/uv.lock": LOCK.encode(), "/pyproject.toml": b"[project]\nname = 'etl'\n"}


def test_src_layout(checkout: Path) -> None:
    """The code is imported from `src`."""
    write(checkout, "src/etl/__init__.py", "")
    assert find_project(checkout, None, Settings()).source_roots == (checkout / "src",)


def test_project_above_the_working_directory(checkout: Path) -> None:
    """A flow in a subdirectory belongs to the project above it."""
    write(checkout, "flows/daily/flow.py", "")
    assert find_project(checkout / "flows" / "daily", "flow.py:main", Settings()).directory == checkout


def test_workspace_member(checkout: Path) -> None:
    """The lock is in the root; the member's local dependencies are importable; every member is an input."""
    write(checkout, "pyproject.toml", "[project]\nname = 'etl'\n[tool.uv.workspace]\nmembers = ['packages/*']\n")
    member = '[[package]]\nname = "{}"\nsource = {{ editable = "packages/{}" }}\n{}\n'
    needs = 'dependencies = [\n    { name = "lib" },\n]\n'
    blocks = (member.format(name, name, needs if name == "job" else "") for name in ("job", "lib", "other"))
    write(checkout, "uv.lock", "\n".join([LOCK, *blocks]))
    for name in ("job", "lib", "other"):
        write(checkout, f"packages/{name}/pyproject.toml", f"[project]\nname = '{name}'\n")
    write(checkout, "packages/lib/src/lib/__init__.py", "")
    project = find_project(checkout / "packages" / "job", None, Settings())
    assert (project.directory, project.root) == (checkout / "packages" / "job", checkout)
    assert project.source_roots == (project.directory, checkout / "packages" / "lib" / "src")
    assert project.summary == "workspace member job, uv.lock in the workspace root"
    assert {name for name, _ in project.inputs} == {
        "/uv.lock",
        "/pyproject.toml",
        *(f"/packages/{name}/pyproject.toml" for name in ("job", "lib", "other")),
    }


def test_inputs_do_not_depend_on_where_the_checkout_is(checkout: Path, tmp_path: Path) -> None:
    """The same files in another directory are the same inputs."""
    elsewhere = tmp_path / "elsewhere"
    checkout_inputs = find_project(checkout, None, Settings()).inputs
    checkout.rename(elsewhere)
    assert find_project(elsewhere, None, Settings()).inputs == checkout_inputs


def test_uv_toml_is_an_input(checkout: Path) -> None:
    """uv.toml is an input, because it can change what is installed."""
    write(checkout, "uv.toml", "no-binary = true")
    assert ("/uv.toml", b"no-binary = true") in find_project(checkout, None, Settings()).inputs


@pytest.mark.parametrize(
    ("step", "setting", "note"),
    [
        ("more.txt", "", "; requirements.txt is not used"),
        ("requirements.txt", "", ""),
        ("more.txt", "requirements.txt", ""),
        ("more.txt", "more.txt", "; requirements.txt is not used"),
    ],
)
def test_requirements_that_are_installed_too(
    checkout: Path, capsys: pytest.CaptureFixture[str], step: str, setting: str, note: str
) -> None:
    """What a pull step or a setting installs is not called unused."""
    for name in ("requirements.txt", "more.txt"):
        write(checkout, name, "")
    pulled = Checkout(checkout, checkout, {}, requirements=(checkout / step,))
    settings = Settings.from_environ({"PREFECT_UV_EXTRA_REQUIREMENTS": setting})
    find_flow_project(settings, RunLog(Mask()), pulled, "flow.py:main")
    assert f"look: virtual project etl, uv.lock next to it{note}\n" in capsys.readouterr().err


def test_script_in_a_project(checkout: Path) -> None:
    """As for `uv run`, its block decides; the line says what is around it, and how to use that."""
    write(checkout, "notebooks/flow.py", "# /// script\n# dependencies = []\n# ///\n")
    write(checkout, "notebooks/requirements.txt", "")
    assert find_project(checkout, "notebooks/flow.py:main", Settings()).describe() == (
        "script notebooks/flow.py without a lock; uv.lock, notebooks/requirements.txt are not used"
        " (PREFECT_UV_PROJECT=. uses the project instead)"
    )
    (checkout / "uv.lock").unlink()
    assert find_project(checkout, "notebooks/flow.py:main", Settings()).describe() == (
        "script notebooks/flow.py without a lock; notebooks/requirements.txt is not used"
        " (PREFECT_UV_PROJECT=notebooks uses the project instead)"
    )


def test_no_project(checkout: Path, this_image: Image) -> None:
    """A flow without a project gets the Prefect that the image was built for."""
    (checkout / "pyproject.toml").unlink()
    project = find_project(checkout, "flow.py:main", Settings())
    assert isinstance(project, UnlockedProject)
    assert project.requirements == (f"prefect=={this_image.prefect}",)
    assert project.summary == "no project, script or requirements file: only prefect==3.8.8, the image's version"


def test_lockfile_missing(checkout: Path) -> None:
    """The error's full text."""
    (checkout / "uv.lock").unlink()
    with pytest.raises(LockfileMissingError) as caught:
        find_project(checkout, None, Settings())
    assert caught.value.render() == (
        f"error[lockfile-missing]: No uv.lock in {checkout}.\n\n"
        f"{checkout}/pyproject.toml is present, {checkout}/uv.lock is not.\n\n"
        "hint: Run `uv lock`, commit uv.lock, and push."
    )


def test_files_above_the_checkout_are_ignored(checkout: Path, this_image: Image) -> None:
    """A project and a lockfile above the repository are not used."""
    for name in ("pyproject.toml", "uv.lock"):
        (checkout / name).rename(checkout.parent / name)
    assert find_project(checkout, None, Settings()).summary.endswith(
        f"only prefect=={this_image.prefect}, the image's version"
    )
    write(checkout, "pyproject.toml", "[project]\nname = 'etl'\n")
    with pytest.raises(LockfileMissingError):
        find_project(checkout, None, Settings())


def test_files_above_a_directory_without_checkout_are_ignored(checkout: Path, this_image: Image) -> None:
    """Code that was copied into an image has its project in the working directory, or above the flow's file in it."""
    (checkout / ".git").rmdir()
    write(checkout, "flows/flow.py", "")
    assert find_project(checkout, "flows/flow.py:main", Settings()).directory == checkout
    alone = find_project(checkout / "flows", None, Settings())
    assert isinstance(alone, UnlockedProject)
    assert alone.requirements == (f"prefect=={this_image.prefect}",)


def test_worktree_is_a_checkout(checkout: Path) -> None:
    """`.git` is a file in a worktree."""
    (checkout / ".git").rmdir()
    write(checkout, ".git", "gitdir: /elsewhere")
    write(checkout, "flows/flow.py", "")
    assert find_project(checkout / "flows", None, Settings()).directory == checkout


def test_flow_file_missing(checkout: Path) -> None:
    """The error names the entrypoint and the missing file."""
    with pytest.raises(FlowFileMissingError) as caught:
        find_project(checkout, "flows/daily.py:main", Settings())
    assert caught.value.headline == f"The deployment's entrypoint flows/daily.py:main is not in {checkout}."
    assert caught.value.found == f"There is no file {checkout / 'flows/daily.py'}."


def test_module_path_entrypoint(checkout: Path) -> None:
    """If the module of `package.module:flow` is not found, the project of the working directory is used."""
    assert find_project(checkout, "etl.daily:main", Settings()).directory == checkout


@pytest.mark.parametrize(
    ("text", "requested"),
    [("3.12\n", "3.12"), ("# pinned\n\n3.13\n", "3.13"), ("", ""), ("cpython@3.12", "cpython@3.12")],
)
def test_python_version_file(checkout: Path, text: str, requested: str) -> None:
    """The first line that is not a comment is the request."""
    write(checkout, ".python-version", text)
    assert find_project(checkout, None, Settings()).python_request == requested


def test_nearest_python_version_file_is_used(checkout: Path) -> None:
    """A project's own file takes precedence over one above it; one above the checkout is ignored."""
    write(checkout.parent, ".python-version", "3.9")
    assert find_project(checkout, None, Settings()).python_request == ""
    write(checkout, ".python-version", "3.12")
    write(checkout, "job/pyproject.toml", "[project]\nname = 'job'\n")
    write(checkout, "job/uv.lock", LOCK)
    write(checkout, "job/.python-version", "3.13")
    assert find_project(checkout / "job", None, Settings()).python_request == "3.13"


SCRIPT = "# /// script\n# dependencies = []\n# ///\n"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"requirements.txt": "prefect"}, "requirements.txt"),
        ({"pylock.toml": 'lock-version = "1.0"\ncreated-by = "pdm"\n'}, "pylock.toml"),
        ({"flow.py": SCRIPT}, "flow.py"),
        ({"flow.py": SCRIPT, "flow.py.lock": "version = 1\n"}, "flow.py"),
    ],
    ids=["requirements", "pylock", "script", "locked script"],
)
def test_name_of_a_project_without_one(tmp_path: Path, files: dict[str, str], name: str) -> None:
    """Two repositories with such files are two projects, so the directory is a part of the name."""
    for directory in ("etl", "ml"):
        for path, content in {".git/HEAD": "", "flow.py": "", **files}.items():
            write(tmp_path / directory, path, content)
        assert find_project(tmp_path / directory, "flow.py:main", Settings()).name == f"{directory}/{name}"
