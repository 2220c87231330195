"""Extra packages of one deployment: its project's environment, extended by some packages."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import (
    ExtraPackagesConflictError,
    LocalDependencyMissingError,
    RequirementsMissingError,
    UnresolvableError,
)
from prefect_uv.project import ExtraPackages, find_project
from prefect_uv.project.files.requirements_files import Requirements
from tests.unit.environments.plan.test_unlocked_source import age
from tests.unit.environments.test_build_from_similar import compile_all, inodes, snapshot
from tests.unit.environments.test_environment_store import no_uv
from tests.unit.etl import Etl, environments, leftovers, sync
from tests.unit.wheels import build_wheel

GIT = ("git", "-c", "user.name=tests", "-c", "user.email=tests@example.invalid")


@pytest.fixture
def locked(etl: Etl) -> Etl:
    """A project with an old helper, and wheels to add to it."""
    build_wheel(etl.wheels, "helper", "2.0", {"helper.py": "x = 2\n"})
    build_wheel(etl.wheels, "needy", "1.0", {"needy.py": "import helper\n"}, requires=["helper"])
    build_wheel(etl.wheels, "modern", "1.0", {"modern.py": ""}, requires=["helper>=2"])
    etl.write("prefect", "helper==1.0")
    etl.lock()
    return etl


def extend(store: EnvironmentStore, etl: Etl, *lines: str, files: tuple[Path, ...] = ()) -> Environment:
    """The project's environment, extended by these packages, as a start gets it."""
    project = find_project(etl.directory, None, store.settings)
    return store.extend(store.environment(project), ExtraPackages(lines, files), project)


def test_extended(locked: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """An extended environment has its own key, all packages of the base, and the new one."""
    base = sync(make_store(), locked)
    extended = extend(make_store(), locked, "needy==1.0")
    assert installed_versions(extended.path) == {**installed_versions(base.path), "needy": "1.0"}
    assert environments(cache) == sorted([base.path, extended.path])
    assert leftovers(cache) == []
    python = extended.path / "bin" / "python"
    subprocess.run([python, "-I", "-c", "import needy, prefect"], check=True, timeout=20)


def test_base_is_shared_and_not_touched(locked: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """The extended environment shares the base's files and bytecode by hard links, and the base is unchanged."""
    base = sync(make_store(), locked).path
    compile_all(base)
    before = snapshot(base)
    extended = extend(make_store(), locked, "needy==1.0").path
    assert snapshot(base) == before
    assert inodes(base, "prefect/__pycache__/*.pyc") == inodes(extended, "prefect/__pycache__/*.pyc") != set()


def test_found_again_without_uv(
    locked: Etl, make_store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Extended environments are found by their fingerprint, like all others."""
    first = extend(make_store(), locked, "needy==1.0")
    monkeypatch.setattr(Uv, "run", no_uv)
    second = extend(make_store(), locked, "needy==1.0")
    assert (second.hit, second.path) == (True, first.path)


def test_lease_of_the_base_is_closed(locked: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """The flow holds only the environment that it uses."""
    store = make_store()
    project = find_project(locked.directory, None, store.settings)
    base = store.environment(project)
    extended = store.extend(base, ExtraPackages(("needy==1.0",)), project)
    assert os.fstat(extended.lease)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(base.lease)


@pytest.mark.parametrize("lines", [(), ("helper",), ("helper>=1", "prefect")])
def test_satisfied_extras_are_the_environment_itself(
    locked: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], lines: tuple[str, ...]
) -> None:
    """If the environment satisfies them, nothing is built."""
    base = sync(make_store(), locked)
    extended = extend(make_store(), locked, *lines)
    assert (extended.path, extended.hit) == (base.path, True)
    assert os.fstat(extended.lease)
    assert environments(cache) == [base.path]


def test_conflict(locked: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """A locked package is never changed; the error names both packages."""
    base = sync(make_store(), locked)
    with pytest.raises(ExtraPackagesConflictError) as caught:
        extend(make_store(), locked, "modern==1.0")
    found = caught.value.found
    assert caught.value.render() == (
        "error[extras-conflict]: modern cannot be added: the environment has helper 1.0.\n\n"
        f"{found}\n\n"
        "hint: Choose another version of the extra package; or add it to the project with `uv add`, so that both are"
        " locked together, then commit and push."
    )
    reason = "Because all versions of modern depend on helper>=2 and helper==1.0, we can conclude that"
    assert found.splitlines()[-2].strip().startswith(f"cause: {reason}")
    assert environments(cache) == [base.path]


def test_direct_conflict(locked: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """An extra package that is locked in another version is a conflict."""
    with pytest.raises(ExtraPackagesConflictError) as caught:
        extend(make_store(), locked, "helper==2.0")
    assert caught.value.headline == "helper cannot be added: the environment has helper 1.0."


def test_extra_package_that_does_not_exist(locked: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """A package that no index has is no conflict with the lock."""
    with pytest.raises(UnresolvableError) as caught:
        extend(make_store(), locked, "nowhere==1.0")
    assert "nowhere" in caught.value.found


def test_unpinned_extras_warn_and_are_resolved_again(
    locked: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run warns once, on a hit too, and not about packages whose version the lock decides."""
    extend(make_store(), locked, "needy>=1", "helper", "prefect")
    warning = (
        "prefect-uv: warning: extra packages without a version: needy; the newest versions that fit are installed, and"
        " resolved again after 1 day(s) (PREFECT_UV_RESOLVE_DAYS)"
    )
    assert capsys.readouterr().err.splitlines().count(warning) == 1
    build_wheel(locked.wheels, "needy", "1.1", {"needy.py": ""})
    assert installed_versions(extend(make_store(), locked, "needy>=1", "helper", "prefect").path)["needy"] == "1.0"
    assert capsys.readouterr().err.splitlines().count(warning) == 1
    age(cache, 1.01)
    assert installed_versions(extend(make_store(), locked, "needy>=1", "helper", "prefect").path)["needy"] == "1.1"


def test_pinned_extras_do_not_warn(
    locked: Etl, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """Pinned extra packages cause no warning."""
    extend(make_store(), locked, "needy==1.0")
    assert "warning" not in capsys.readouterr().err


def test_miss_says_what_is_added(
    locked: Etl, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the added packages and the base."""
    base = sync(make_store(), locked)
    capsys.readouterr()
    extended = extend(make_store(), locked, "needy==1.0")
    new = f"environment {extended.key[:12]} for etl + needy is new;"
    line = f"prefect-uv: {new} changes from {base.key[:12]} of etl: + needy 1.0"
    assert line in capsys.readouterr().err.splitlines()


def test_requirements_file(locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """Extra packages may come from a file, as from a pull step or in the project."""
    file = tmp_path / "requirements-extras.txt"
    file.write_text("needy==1.0\n")
    assert "needy" in installed_versions(extend(make_store(), locked, files=(file,)).path)


def test_users_constraints(locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """They apply where versions are chosen, and do no harm elsewhere."""
    build_wheel(locked.wheels, "needy", "2.0", {"needy.py": ""})
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("needy<2\n")
    made = extend(make_store(UV_CONSTRAINT=str(constraints)), locked, "needy")
    assert installed_versions(made.path)["needy"] == "1.0"


@pytest.mark.parametrize(
    "settings",
    [
        'no-emit-package = ["needy"]',
        'python-version = "3.9"',
        'python-platform = "windows"',
        'output-file = "requirements.lock"',
        'extra = ["x"]',
        "all-extras = true",
        "require-hashes = true",
        'target = "/nonexistent/target"',
        'prefix = "/nonexistent/prefix"',
        "no-deps = true",
        'find-links = ["../wheels"]\nno-deps = true',
    ],
)
def test_settings_of_uv_pip(locked: Etl, make_store: Callable[..., EnvironmentStore], settings: str) -> None:
    """Settings for other uses of `uv pip` are ignored; those about where packages come from apply."""
    elsewhere = ["absent ; python_version < '3.10'", "absent ; sys_platform == 'win32'"]
    build_wheel(locked.wheels, "wants", "1.0", {"wants.py": ""}, requires=["needy", *elsewhere])
    path = locked.directory / "pyproject.toml"
    text = path.read_text()
    text = text.replace('find-links = ["../wheels"]\n', "") if "find-links" in settings else text
    path.write_text(f"{text}\n[tool.uv.pip]\n{settings}\n")
    before = sorted(locked.directory.iterdir())
    made = installed_versions(extend(make_store(PREFECT_UV_LOCK="frozen"), locked, "wants==1.0").path)
    assert made == {"prefect": "3.8.8", "helper": "1.0", "needy": "1.0", "wants": "1.0"}
    assert sorted(locked.directory.iterdir()) == before


def test_settings_of_uv_pip_in_uv_toml(locked: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """In uv.toml the same table has another name."""
    settings = 'no-index = true\nfind-links = ["../wheels"]\n'
    (locked.directory / "uv.toml").write_text(f'{settings}\n[pip]\nno-emit-package = ["needy"]\n')
    assert installed_versions(extend(make_store(PREFECT_UV_LOCK="frozen"), locked, "needy==1.0").path)["needy"] == "1.0"


@pytest.mark.parametrize("place", ["UV_CONFIG_FILE", "XDG_CONFIG_HOME", "HOME", "XDG_CONFIG_DIRS"])
def test_settings_of_uv_pip_outside_the_project(
    locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path, place: str
) -> None:
    """The same settings of the user, of the system, or in a file that is named are ignored; all others apply."""
    file = tmp_path / ("outside/.config/uv/uv.toml" if place == "HOME" else "outside/uv/uv.toml")
    file.parent.mkdir(parents=True)
    settings = 'target = "/nonexistent/target"\nno-emit-package = ["needy"]\noutput-file = "requirements.lock"\n'
    file.write_text(f'find-links = ["{locked.wheels}"]\n\n[pip]\nno-index = true\n{settings}')
    path = locked.directory / "pyproject.toml"
    path.write_text(path.read_text().partition("[tool.uv]")[0])
    variables = {place: str(file if place == "UV_CONFIG_FILE" else tmp_path / "outside")}
    made = installed_versions(extend(make_store(**variables, PREFECT_UV_LOCK="frozen"), locked, "needy==1.0").path)
    assert made == {"prefect": "3.8.8", "helper": "1.0", "needy": "1.0"}


def test_copy_across_file_systems(
    locked: Etl, make_store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If hard links are impossible, as from the image to a volume, files are copied."""
    base = sync(make_store(), locked)

    def crossing(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", crossing)
    extended = extend(make_store(), locked, "needy==1.0")
    assert installed_versions(extended.path) == {**installed_versions(base.path), "needy": "1.0"}
    assert not inodes(base.path, "prefect/*.py") & inodes(extended.path, "prefect/*.py")


def repository(directory: Path, name: str, version: str) -> str:
    """Make a git repository with a package; returns its address."""
    (directory / "src" / name).mkdir(parents=True)
    (directory / "src" / name / "__init__.py").write_text("")
    (directory / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "{version}"\n\n[build-system]\nrequires = []\n'
        'build-backend = "backend"\nbackend-path = ["."]\n'
    )
    (directory / "backend.py").write_text(BACKEND.format(name=name, version=version))
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"]):
        subprocess.run([*GIT, *words], cwd=directory, check=True, timeout=20)
    return f"git+file://{directory}"


BACKEND = '''\
import zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """A wheel with one module."""
    info, file = "{name}-{version}.dist-info", "{name}-{version}-py3-none-any.whl"
    files = {{
        "{name}.py": "",
        info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    rows = "".join(path + ",,\\n" for path in [*files, info + "/RECORD"])
    with zipfile.ZipFile(wheel_directory + "/" + file, "w") as archive:
        for path, text in [*files.items(), (info + "/RECORD", rows)]:
            archive.writestr(path, text)
    return file
'''


def test_locked_package_from_git(locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """An extra package that needs it is resolved against the installed version, which is on no index."""
    address = repository(tmp_path / "gitty", "gitty", "1.5")
    build_wheel(locked.wheels, "wants_gitty", "1.0", {"wants_gitty.py": ""}, requires=["gitty>=1"])
    build_wheel(locked.wheels, "wants_more", "1.0", {"wants_more.py": ""}, requires=["gitty>=2"])
    locked.write("prefect", f"gitty @ {address}")
    locked.lock()
    extended = extend(make_store(), locked, "wants-gitty==1.0")
    assert {"gitty": "1.5", "wants-gitty": "1.0"}.items() <= installed_versions(extended.path).items()
    with pytest.raises(ExtraPackagesConflictError) as caught:
        extend(make_store(), locked, "wants-more==1.0")
    assert caught.value.headline == "wants-more cannot be added: the environment has gitty 1.5."


def test_locked_package_from_another_address(
    locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path
) -> None:
    """The same version from another address would replace the locked package, and is a conflict."""
    addresses: Mapping[str, str] = {name: repository(tmp_path / name, "gitty", "1.5") for name in ("first", "second")}
    locked.write("prefect", f"gitty @ {addresses['first']}")
    locked.lock()
    with pytest.raises(ExtraPackagesConflictError) as caught:
        extend(make_store(), locked, f"gitty @ {addresses['second']}")
    assert caught.value.headline == "gitty cannot be added: the environment has gitty 1.5."


def test_extra_from_git(locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """An extra package may be given by its git address."""
    address = repository(tmp_path / "gitty", "gitty", "1.5")
    assert installed_versions(extend(make_store(), locked, f"gitty @ {address}").path)["gitty"] == "1.5"


def test_extra_from_a_branch(
    locked: Etl,
    cache: Path,
    make_store: Callable[..., EnvironmentStore],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A branch is unpinned and resolved again after a day; a commit is pinned."""
    address = repository(tmp_path / "gitty", "gitty", "1.5")
    commit = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=tmp_path / "gitty", check=True, capture_output=True)
    pinned = f"gitty @ {address}@{commit.stdout.decode().strip()}"
    extend(make_store(), locked, pinned)
    assert "without a version" not in capsys.readouterr().err
    subprocess.run([*GIT, "branch", "newest"], cwd=tmp_path / "gitty", check=True)
    branch = f"gitty @ {address}@newest"
    extend(make_store(), locked, branch)
    assert "extra packages without a version: gitty;" in capsys.readouterr().err
    for name in ("backend.py", "pyproject.toml"):
        path = tmp_path / "gitty" / name
        path.write_text(path.read_text().replace("1.5", "1.6"))
    for words in (["checkout", "--quiet", "newest"], ["commit", "--quiet", "--all", "--message", "y"]):
        subprocess.run([*GIT, *words], cwd=tmp_path / "gitty", check=True)
    age(cache, 1.01)
    assert installed_versions(extend(make_store(), locked, branch).path)["gitty"] == "1.6"
    assert installed_versions(extend(make_store(), locked, pinned).path)["gitty"] == "1.5"
    shutil.rmtree(tmp_path / "gitty")
    age(cache, 1.01)
    assert installed_versions(extend(make_store(), locked, branch).path)["gitty"] == "1.6"


def test_extra_from_a_new_wheel_of_the_same_name(locked: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """A new content gives a new environment."""
    vendor = locked.directory / "vendor"
    for content in ("x = 1\n", "x = 2\n"):
        wheel = build_wheel(vendor, "acme", "1.0", {"acme.py": content})
        made = extend(make_store(), locked, f"./vendor/{wheel.name}")
        assert next(made.path.glob("lib/*/site-packages/acme.py")).read_text() == content


def test_variables_in_addresses(locked: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """Deployments whose addresses differ by a variable have two environments; tokens make no difference."""
    for version in ("1.0", "2.0"):
        build_wheel(locked.directory / "vendor", "acme", version, {"acme.py": ""})
    line = f"acme @ file://{locked.directory}/vendor/acme-${{VERSION}}-py3-none-any.whl"
    for version in ("1.0", "2.0"):
        assert installed_versions(extend(make_store(VERSION=version), locked, line).path)["acme"] == version
    file = locked.directory / "requirements-extras.txt"
    file.write_text("needy==1.0\n# https://ada:${TOKEN}@host.example/needy.whl\n")
    inputs = [Requirements.read(locked.directory, [file], {"TOKEN": token}).inputs for token in ("first", "second")]
    assert inputs[0] == inputs[1]


def test_include_with_a_comment(locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """An address in a comment does not hide the included file."""
    build_wheel(locked.wheels, "needy", "2.0", {"needy.py": ""})
    file = tmp_path / "requirements-extras.txt"
    file.write_text("-r more.txt  # see https://wiki.example\n")
    for version in ("1.0", "2.0"):
        (tmp_path / "more.txt").write_text(f"needy=={version}\n")
        assert installed_versions(extend(make_store(), locked, files=(file,)).path)["needy"] == version


def test_files_that_include_each_other(
    locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path
) -> None:
    """Files that include each other work, as they do with uv."""
    file = tmp_path / "requirements-extras.txt"
    file.write_text("-r more.txt\n")
    (tmp_path / "more.txt").write_text("-r requirements-extras.txt\nneedy==1.0\n")
    assert installed_versions(extend(make_store(), locked, files=(file,)).path)["needy"] == "1.0"


def test_include_that_is_missing(locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """The error is the same as for the requirements of a project."""
    file = tmp_path / "requirements-extras.txt"
    file.write_text("-r more.txt\n")
    with pytest.raises(RequirementsMissingError) as caught:
        extend(make_store(), locked, files=(file,))
    assert caught.value.headline == f"{file} includes more.txt, which does not exist."


def test_utf_16(locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """A file in UTF-16, as PowerShell writes it, can be read."""
    file = tmp_path / "requirements-extras.txt"
    file.write_text("needy==1.0\n", "utf-16")
    assert installed_versions(extend(make_store(), locked, files=(file,)).path)["needy"] == "1.0"


def test_directory(locked: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """A directory is refused unless its modules are on the import path, like the project's own."""
    base = sync(make_store(), locked)
    (locked.directory / "lib").mkdir()
    (locked.directory / "lib" / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    with pytest.raises(UnresolvableError) as caught:
        extend(make_store(), locked, "./lib")
    assert caught.value.render().replace(str(locked.directory), "/code") == (
        "error[unresolvable]: ./lib cannot be an extra package: it is a directory.\n\n"
        "/code/lib is not part of the project, so no flow could import it.\n\n"
        "hint: Make it a dependency of the project (with `uv add`, or in requirements.txt), commit and push; or name"
        " a wheel of it; or add its source directory to PREFECT_UV_SOURCE_ROOT."
    )
    made = extend(make_store(PREFECT_UV_SOURCE_ROOT=".,lib"), locked, "./lib", "needy==1.0")
    assert installed_versions(made.path) == {**installed_versions(base.path), "needy": "1.0"}
    assert extend(make_store(PREFECT_UV_SOURCE_ROOT=".,lib"), locked, "./lib").path == base.path
    with pytest.raises(UnresolvableError):
        extend(make_store(), locked, "./lib")
    file = locked.directory / "requirements-extras.txt"
    file.write_text("-e .\nneedy==1.0\n")
    assert installed_versions(extend(make_store(), locked, files=(file,)).path) == {
        **installed_versions(base.path),
        "needy": "1.0",
    }


def test_directory_that_was_not_pulled(locked: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """The full text for a directory that does not exist."""
    with pytest.raises(LocalDependencyMissingError) as caught:
        extend(make_store(), locked, "./lib")
    assert caught.value.render().replace(str(locked.directory), "/code") == (
        "error[dependency-unreachable]: The list of extra packages installs ./lib, which was not pulled.\n\n"
        "/code/lib does not exist.\n\n"
        "hint: Pull it with the code, or remove the line."
    )


def test_nothing_to_add(locked: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """A file with only comments builds nothing."""
    file = tmp_path / "requirements-extras.txt"
    file.write_text("# nothing yet\n")
    assert extend(make_store(), locked, files=(file,)).path == sync(make_store(), locked).path
