"""A project with a pylock.toml (PEP 751): what `uv pip sync` installs from it is what we install."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions, site_packages
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import (
    HashMismatchError,
    LockfileUnsuitableError,
    PrefectMissingError,
    ProjectInvalidError,
    PythonMissingError,
)
from prefect_uv.project import find_project
from tests.unit.environments.test_environment_store import no_uv
from tests.unit.environments.test_extra_packages_source import repository
from tests.unit.etl import WHEEL, Etl, sync
from tests.unit.wheels import build_wheel

HEAD = 'lock-version = "1.0"\ncreated-by = "tests"\n'
PIPENV = 'lock-version = "1.0"\nenvironments = []\ndependency-groups = ["dev"]\ndefault-groups = ["default"]\n'
PDM = HEAD + 'extras = ["charts"]\ndependency-groups = ["default", "ml"]\ndefault-groups = ["default"]\n'
OTHER_HASH = "0" * 64
ALWAYS = {"prefect", "always"}


def sha256(file: Path) -> str:
    """The digest of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def pylock_entry(file: Path, marker: str = "", digest: str = "") -> str:
    """A package with one wheel, as most tools write it."""
    name, version, *_ = file.name.split("-")
    condition = f"marker = '''{marker}'''\n" if marker else ""
    wheel = f'{{name = "{file.name}", url = "{file.as_uri()}", hashes = {{sha256 = "{digest or sha256(file)}"}}}}'
    return f'\n[[packages]]\nname = "{name}"\nversion = "{version}"\n{condition}wheels = [\n    {wheel},\n]\n'


@dataclass(frozen=True)
class Locked:
    """A project with a pylock.toml, which a test has to write, instead of a uv.lock."""

    etl: Etl
    make_store: Callable[..., EnvironmentStore]

    @property
    def helper(self) -> Path:
        """A wheel."""
        return self.etl.wheels / "helper-1.0-py3-none-any.whl"

    @property
    def prefect(self) -> str:
        """The entry of Prefect."""
        return pylock_entry(self.etl.wheels / WHEEL)

    def write(self, *texts: str) -> None:
        """Write the lockfile."""
        (self.etl.directory / "pylock.toml").write_text("".join(texts))

    def start(self, **variables: str) -> Environment:
        """The environment that a start gets."""
        return sync(self.make_store(**variables), self.etl)

    def installed(self, **variables: str) -> set[str]:
        """The names of the packages in it."""
        return {*installed_versions(self.start(**variables).path)}

    def uv(self, *words: str) -> None:
        """Run uv in the project as a user does."""
        cache = ("--cache-dir", str(self.etl.directory.parent / "uv-cache"))
        command = ["uv", *words, "--quiet", "--python", sys.executable, *cache]
        subprocess.run(command, cwd=self.etl.directory, check=True, timeout=30)

    def installed_by_uv(self, *options: str) -> set[str]:
        """The names of what `uv pip sync` installs."""
        target = self.etl.directory.parent / "synced"
        words = ("--target", str(target), "--preview-features", "pylock")
        self.uv("pip", "sync", "pylock.toml", *options, *words)
        return {path.name.partition("-")[0] for path in target.glob("*.dist-info")}


@pytest.fixture
def locked(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> Locked:
    """The project."""
    (etl.directory / "uv.lock").unlink()
    return Locked(etl, make_store)


def test_exported_by_uv(locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by itself; the project in it is imported and not installed; a warm start needs no uv."""
    locked.etl.write("prefect", "helper")
    path = locked.etl.directory / "pyproject.toml"
    path.write_text(f'{path.read_text()}[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n')
    locked.uv("export", "--format", "pylock.toml", "--output-file", "pylock.toml")
    (locked.etl.directory / "uv.lock").unlink()
    first = locked.start()
    assert installed_versions(first.path) == {"prefect": "3.8.8", "helper": "1.0"}
    project = find_project(locked.etl.directory, None, locked.make_store().settings)
    assert (project.name, [package.name for package in project.local_packages]) == ("etl", ["etl"])
    monkeypatch.setattr(Uv, "run", no_uv)
    second = locked.start()
    assert (second.hit, second.key) == (True, first.key)


@pytest.mark.parametrize(
    ("variables", "options", "installed"),
    [
        ({}, "", ALWAYS),
        ({"GROUPS": "ml"}, "--group default --group ml", ALWAYS | {"helper"}),
        ({"EXTRAS": "Charts"}, "--extra charts", ALWAYS | {"charting"}),
        ({"ONLY_GROUPS": "default"}, "--group default", ALWAYS),
        (
            {"GROUPS": "ml", "EXTRAS": "charts"},
            "--group default --group ml --extra charts",
            ALWAYS | {"helper", "charting"},
        ),
    ],
)
def test_selection(locked: Locked, variables: dict[str, str], options: str, installed: set[str]) -> None:
    """Groups are installed in addition to the default ones, or instead of them; uv agrees on every package."""
    wheels = locked.etl.wheels
    always, charting = (build_wheel(wheels, name, "1.0", {f"{name}.py": ""}) for name in ("always", "charting"))
    locked.write(
        PDM,
        pylock_entry(wheels / WHEEL, '"default" in dependency_groups'),
        pylock_entry(locked.helper, '"ml" in dependency_groups'),
        pylock_entry(charting, '"charts" in extras'),
        pylock_entry(always, "python_version > '3'"),
        pylock_entry(locked.helper, "sys_platform == 'win32'", OTHER_HASH),
    )
    chosen = {f"PREFECT_UV_{name}": value for name, value in variables.items()}
    assert locked.installed(**chosen) == installed == locked.installed_by_uv(*options.split())


def test_two_entries_of_one_version(locked: Locked) -> None:
    """The selection decides which file is installed, and is part of the key."""
    other = build_wheel(locked.etl.wheels / "other", "helper", "1.0", {"helper.py": "x = 'other'\n"})
    entries = [
        pylock_entry(locked.helper, '"ml" not in dependency_groups'),
        pylock_entry(other, '"ml" in dependency_groups'),
    ]
    locked.write(PDM, locked.prefect, *entries)
    for variables, text in (({}, "x = 1\n"), ({"PREFECT_UV_GROUPS": "ml"}, "x = 'other'\n")):
        assert (site_packages(locked.start(**variables).path) / "helper.py").read_text() == text


def test_written_by_pipenv(locked: Locked) -> None:
    """An empty list of environments accepts all of them, although uv 0.13.8 refuses it."""
    locked.write(
        PIPENV, 'created-by = "pipenv"\n', locked.prefect, '\n[tool.pipenv]\ngenerated_from = "Pipfile.lock"\n'
    )
    with pytest.raises(subprocess.CalledProcessError):
        locked.installed_by_uv()
    assert locked.installed() == {"prefect"}


def test_written_by_pip(locked: Locked) -> None:
    """Tables of their own instead of inline ones, and an archive without a version, at a path."""
    helper, prefect = locked.helper, locked.etl.wheels / WHEEL
    (locked.etl.directory / helper.name).write_bytes(helper.read_bytes())
    locked.write(
        f'{HEAD}\n[[packages]]\nname = "helper"\n\n[packages.archive]\npath = "{helper.name}"\n\n',
        f'[packages.archive.hashes]\nsha256 = "{sha256(helper)}"\n\n',
        f'[[packages]]\nname = "prefect"\nversion = "3.8.8"\n\n[[packages.wheels]]\nname = "{WHEEL}"\n',
        f'url = "{prefect.as_uri()}"\n\n[packages.wheels.hashes]\nsha256 = "{sha256(prefect)}"\n',
    )
    made = locked.start()
    assert {*installed_versions(made.path)} == {"prefect", "helper"} == locked.installed_by_uv()
    another = str(locked.etl.directory.parent / "another")
    assert locked.start(PREFECT_UV_WHEELS=str(locked.etl.wheels), PREFECT_UV_CACHE_DIR=another).key == made.key


def test_repository(locked: Locked, tmp_path: Path) -> None:
    """A commit is built and installed."""
    address = repository(tmp_path / "gitty", "gitty", "1.5").removeprefix("git+")
    git = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(git, cwd=tmp_path / "gitty", check=True, capture_output=True, text=True, timeout=20).stdout
    source = f'vcs = {{ type = "git", url = "{address}", commit-id = "{commit.strip()}" }}'
    locked.write(HEAD, locked.prefect, f'\n[[packages]]\nname = "gitty"\n{source}\n')
    assert locked.installed() == {"prefect", "gitty"} == locked.installed_by_uv()


def test_source_distribution(locked: Locked, tmp_path: Path) -> None:
    """It is built if it has the hash that was locked, and refused if not."""
    repository(tmp_path / "gitty", "gitty", "1.5")
    file = tmp_path / "gitty-1.5.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        archive.add(tmp_path / "gitty", "gitty-1.5")
    text = f'\n[[packages]]\nname = "gitty"\nversion = "1.5"\n[packages.sdist]\nurl = "{file.as_uri()}"\n'
    locked.write(HEAD, locked.prefect, text, f'[packages.sdist.hashes]\nsha256 = "{sha256(file)}"\n')
    assert locked.installed() == {"prefect", "gitty"} == locked.installed_by_uv()
    locked.write(HEAD, locked.prefect, text, f'[packages.sdist.hashes]\nsha256 = "{OTHER_HASH}"\n')
    with pytest.raises(HashMismatchError):
        locked.start()


def test_source_code_is_imported(locked: Locked) -> None:
    """A directory in the lockfile is not installed, but on the import path."""
    lib = locked.etl.directory / "lib"
    (lib / "src").mkdir(parents=True)
    (lib / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    directory = 'directory = { path = "lib", editable = true }'
    locked.write(HEAD, locked.prefect, f'\n[[packages]]\nname = "lib"\n{directory}\n')
    assert locked.installed() == {"prefect"}
    project = find_project(locked.etl.directory, None, locked.make_store().settings)
    assert project.source_roots == (locked.etl.directory, lib / "src")


def test_hash_mismatch(locked: Locked) -> None:
    """A file with another hash is never installed."""
    locked.write(HEAD, pylock_entry(locked.etl.wheels / WHEEL, digest=OTHER_HASH))
    with pytest.raises(HashMismatchError) as caught:
        locked.start(UV_NO_VERIFY_HASHES="1")
    assert caught.value.headline == "A downloaded package is not the one in the lockfile."


@pytest.mark.parametrize(
    ("head", "error"),
    [
        ("environments = [\"sys_platform == 'win32'\"]\n", LockfileUnsuitableError),
        ('requires-python = ">=3.99"\n', PythonMissingError),
    ],
)
def test_lock_for_another_place(locked: Locked, head: str, error: type[Exception]) -> None:
    """A lockfile for other platforms or another Python is refused."""
    locked.write(HEAD, head, locked.prefect)
    with pytest.raises(error):
        locked.start(UV_PYTHON_DOWNLOADS="never")


PREFECT_MISSING = "error[prefect-missing]: Prefect is not among the packages of pylock.toml for this platform.\n\n"


@pytest.mark.parametrize(
    ("marker", "rest"),
    [
        (
            "",
            (
                "/code/pylock.toml does not lock prefect or prefect-client.\n\n"
                "hint: Add `prefect` to the dependencies, lock again, commit, and push."
            ),
        ),
        (
            '"ml" in dependency_groups',
            (
                '/code/pylock.toml locks it with the marker `"ml" in dependency_groups`.\n\n'
                "hint: Set PREFECT_UV_GROUPS or PREFECT_UV_EXTRAS to the group or extra in the marker; or lock for this"
                " platform."
            ),
        ),
    ],
)
def test_prefect_missing(locked: Locked, marker: str, rest: str) -> None:
    """The error says whether a selection would bring it."""
    locked.write(PDM, pylock_entry(locked.helper), pylock_entry(locked.etl.wheels / WHEEL, marker) if marker else "")
    with pytest.raises(PrefectMissingError) as caught:
        locked.start()
    assert caught.value.render().replace(str(locked.etl.directory), "/code") == f"{PREFECT_MISSING}{rest}"


def test_file_that_does_not_follow_the_specification(locked: Locked) -> None:
    """A package without a hash is refused."""
    locked.write(HEAD, locked.prefect.replace("hashes", "digests"))
    with pytest.raises(ProjectInvalidError, match=r"pylock\.toml does not follow PEP 751\.") as caught:
        locked.start()
    assert "hashes" in caught.value.found
