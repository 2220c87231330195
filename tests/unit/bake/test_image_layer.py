"""What `prefect-uv bake` puts into an image, and what a start does with it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import pytest

from prefect_uv.bake.bake_record import baked_selections, log_image_version, with_baked_selection
from prefect_uv.bake.image_layer import bake
from prefect_uv.commands.doctor import doctor
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.key.manifest import Manifest
from prefect_uv.environments.preview import EnvironmentPreview, Preview
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import (
    BakedMismatchError,
    LocalDependencyMissingError,
    PolicyViolatedError,
    UsageError,
    VolumeUnusableError,
)
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.option_parser import parse_options
from prefect_uv.project import ExtraPackages, find_extra_packages, find_project
from prefect_uv.project_code import baked_code_directory
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from tests.unit.conftest import MakeSettings
from tests.unit.environments.plan.test_pylock_source import PDM, pylock_entry
from tests.unit.etl import WHEEL, Etl, environments, sync
from tests.unit.wheels import build_wheel

BUILT = """
[project.scripts]
say = "etl:main"

[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
"""
MEMBER = """
[project]
name = "shared"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["prefect", "helper"]

[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
"""
GROUPS = """
[dependency-groups]
extra = ["helper"]
"""


@dataclass(frozen=True)
class Baked:
    """The directory of an image that is baked into and started from.

    Attributes:
        etl: the project.
        directory: the baked directory.
        log: the log of all commands.
        make_settings: makes settings from variables.
        make_store: makes stores from variables.
        copied: the files of the project that the Dockerfile copies.
        variables: variables to bake with.
    """

    etl: Etl
    directory: Path
    log: RunLog
    make_settings: MakeSettings
    make_store: Callable[..., EnvironmentStore]
    copied: tuple[str, ...] = ("pyproject.toml", "uv.lock")
    variables: Mapping[str, str] = field(default_factory=dict)

    def bake(self, *arguments: str, whole: bool = False, **variables: str) -> None:
        """Run `prefect-uv bake` where the `copied` files are, or with `whole` the project except its `.git`."""
        copy = self.directory.parent / "build" / "etl"
        shutil.rmtree(copy.parent, ignore_errors=True)
        copy.mkdir(parents=True)
        for name in self.copied:
            shutil.copy(self.etl.directory / name, copy)
        if whole:
            shutil.copytree(self.etl.directory, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
        (copy.parent / "wheels").symlink_to(self.etl.wheels)
        options = parse_options(["bake", *arguments])
        given = {"PREFECT_UV_CACHE_DIR": "/nonexistent", **self.variables, **variables, **options.variables}
        with contextlib.chdir(copy):
            assert bake(Session(self.settings(**given), self.log, options)) == 0

    def settings(self, **variables: str) -> Settings:
        """The settings of a container of the image."""
        return self.make_settings({"PREFECT_UV_BAKED_DIR": str(self.directory), **variables})

    def store(self, **variables: str) -> EnvironmentStore:
        """The environment store of a start."""
        return self.make_store(PREFECT_UV_BAKED_DIR=str(self.directory), **variables)

    def start(self, **variables: str) -> Environment:
        """The environment that a start gets."""
        return sync(self.store(**variables), self.etl)

    @property
    def environments(self) -> list[Path]:
        """The environments that are baked."""
        return environments(self.directory)


@pytest.fixture
def baked(
    etl: Etl, tmp_path: Path, log: RunLog, make_settings: MakeSettings, make_store: Callable[..., EnvironmentStore]
) -> Baked:
    """An image without baked environments."""
    directory = tmp_path / "baked"
    directory.mkdir()
    return Baked(etl, directory, log, make_settings, make_store)


def no_uv(*_: object, **__: object) -> NoReturn:
    """Stand in for uv where it must not run."""
    raise AssertionError("uv was run")


def write_groups(etl: Etl) -> None:
    """Give the project a dependency group."""
    etl.write("prefect")
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text() + GROUPS)
    etl.lock()


def test_start_finds_it_without_uv(cache: Path, baked: Baked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start with the same pyproject.toml and uv.lock finds the environment without uv, and writes nothing."""
    baked.bake()
    monkeypatch.setattr(Uv, "run", no_uv)
    environment = baked.start()
    assert environment.path == baked.directory / "envs" / "v1" / environment.key
    assert (environment.hit, environment.prefect, environment.uv_cache) == (True, "3.8.8", None)
    assert not cache.exists()


def test_layer_has_environment_index_and_bytecode(baked: Baked) -> None:
    """The layer has no uv cache, no locks and no unfinished builds."""
    baked.bake()
    assert sorted(path.name for path in baked.directory.iterdir()) == ["envs", "index", "selections"]
    assert [path.name for path in (baked.directory / "envs").iterdir()] == ["v1"]
    (environment,) = baked.environments
    assert list(environment.glob("lib/*/site-packages/prefect/__pycache__/flow_engine.*.pyc"))


def test_policy_of_the_bake(baked: Baked, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bake is refused as a start is. Its verdict is in the layer, and counts for starts with the same policy.

    A stricter start works its own verdict out from the layer, without uv, and keeps it on the volume.
    """
    policy = {"PREFECT_UV_POLICY": "refuse", "PREFECT_UV_POLICY_WHEELS": "true"}
    strict = {**policy, "PREFECT_UV_POLICY_LICENSES": "MIT"}
    with pytest.raises(PolicyViolatedError, match=r"prefect 3\.8\.8 names no license"):
        baked.bake(whole=False, **strict)
    shutil.rmtree(baked.directory)
    baked.directory.mkdir()
    baked.bake(whole=False, **policy)
    assert len([*(baked.directory / "policy" / "v1").iterdir()]) == 1
    monkeypatch.setattr(Uv, "run", no_uv)
    assert baked.start(**policy).hit
    assert not cache.exists()
    for _ in range(2):
        with pytest.raises(PolicyViolatedError, match=r"prefect 3\.8\.8 names no license"):
            baked.start(**strict)
    assert len([*(cache / "policy" / "v1").iterdir()]) == 1


def test_key_is_the_same_on_a_volume(
    etl: Etl, baked: Baked, make_store: Callable[..., EnvironmentStore], cache: Path
) -> None:
    """A baked environment has the key that it would have on a cache volume."""
    baked.bake()
    built = sync(make_store(), etl)
    assert [built.path] == environments(cache)
    assert [built.key] == [path.name for path in baked.environments]


def test_nothing_in_the_layer_is_writable_for_all(baked: Baked) -> None:
    """uv's lock files, which it makes world-writable, do not get into the image (uv 0.13.8, observed)."""
    baked.bake()
    writable = [path for path in baked.directory.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o002]
    assert writable == []


def test_start_from_a_directory_that_nobody_can_write(baked: Baked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of another user are trusted in the image, and the address of the index does not matter."""
    baked.bake()
    for path in [baked.directory, *baked.directory.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o555)
            os.chown(path, 4711, 0)
    monkeypatch.setattr(Uv, "run", no_uv)
    assert baked.start(UV_DEFAULT_INDEX="https://elsewhere.invalid/simple").hit is True


def test_edit_without_effect_is_found_by_the_key(etl: Etl, baked: Baked) -> None:
    """After an edit that changes no package, uv computes the key, which finds the baked environment."""
    baked.bake()
    etl.write("prefect", comment="# a comment")
    for _ in range(2):
        environment = baked.start()
        assert environment.path.is_relative_to(baked.directory)


def test_other_package_is_explained_and_built(
    etl: Etl, cache: Path, baked: Baked, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log line says what differs, and whether an environment is built or taken from the volume."""
    baked.bake()
    etl.write("prefect", "helper")
    etl.lock()
    old = baked.environments[0].name[:12]
    capfd.readouterr()
    new = baked.start().key[:12]
    lines = capfd.readouterr().err.splitlines()
    misfit = f"prefect-uv: baked environment {old} does not fit: + helper 1.0"
    assert f"{misfit}; building environment {new} in {cache}" in lines
    assert baked.start().hit is True
    assert f"{misfit}; using environment {new} from the volume" in capfd.readouterr().err.splitlines()


def test_other_project_than_the_baked_one(
    etl: Etl, cache: Path, baked: Baked, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log says for what the image was baked; how that project differs from this one explains nothing."""
    baked.bake()
    etl.write("prefect", "helper")
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text().replace('"etl"', '"other"'))
    etl.lock()
    capfd.readouterr()
    new = baked.start().key[:12]
    line = f"the image has a baked environment for etl, none for other; building environment {new} in {cache}"
    assert f"prefect-uv: {line}" in capfd.readouterr().err.splitlines()


def test_build_starts_from_the_baked_environment(etl: Etl, baked: Baked) -> None:
    """Unchanged packages are taken from the image, with their bytecode; only the difference is fetched."""
    build_wheel(etl.wheels, "tools", "1.0", {"tools.py": "y = 1\n"})
    etl.write("prefect", "tools")
    etl.lock()
    baked.bake()
    etl.write("prefect", "tools", "helper")
    etl.lock()
    environment = baked.start().path
    assert list(environment.glob("lib/*/site-packages/prefect/__pycache__/flow_engine.*.pyc"))
    assert not list(environment.glob("lib/*/site-packages/__pycache__/helper.*.pyc"))


def test_extra_packages_on_a_baked_environment(etl: Etl, cache: Path, baked: Baked) -> None:
    """A deployment's extra packages are added to a copy on the volume."""
    baked.bake()
    store = baked.store()
    project = find_project(etl.directory, None, store.settings)
    extended = store.extend(store.environment(project), ExtraPackages(("helper==1.0",)), project)
    assert extended.path.is_relative_to(cache)
    python = extended.path / "bin" / "python"
    subprocess.run([python, "-c", "import helper, prefect.flow_engine"], check=True, timeout=20)
    assert len(baked.environments) == 1


def test_extra_packages_are_baked(etl: Etl, baked: Baked, monkeypatch: pytest.MonkeyPatch) -> None:
    """If requirements-extras.txt was copied too, a start with extra packages needs no uv."""
    (etl.directory / "requirements-extras.txt").write_text("helper==1.0\n")
    replace(baked, copied=("pyproject.toml", "uv.lock", "requirements-extras.txt")).bake()
    assert len(baked.environments) == 2
    monkeypatch.setattr(Uv, "run", no_uv)
    store = baked.store()
    project = find_project(etl.directory, None, store.settings)
    extended = store.extend(
        store.environment(project), find_extra_packages(etl.directory, project, store.settings), project
    )
    assert extended.path in baked.environments
    python = extended.path / "bin" / "python"
    subprocess.run([python, "-c", "import helper, prefect.flow_engine"], check=True, timeout=20)


def test_workspace_without_sources(etl: Etl, baked: Baked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pyproject.toml of each member suffices, and a checkout with all sources finds what was baked."""
    member = etl.directory / "shared"
    member.mkdir()
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text() + '[tool.uv.workspace]\nmembers = ["shared"]\n')
    (member / "pyproject.toml").write_text(MEMBER)
    etl.lock()
    baked.bake("--package", "shared", whole=True)
    (member / "src" / "shared").mkdir(parents=True)
    (member / "src" / "shared" / "__init__.py").touch()
    monkeypatch.setattr(Uv, "run", no_uv)
    environment = baked.start(PREFECT_UV_PACKAGE="shared")
    assert [environment.path] == baked.environments
    settings = baked.settings()
    in_root = find_project(etl.directory, None, settings)
    assert with_baked_selection(settings, in_root, baked.log).package == "shared"
    in_other_member = replace(in_root, directory=etl.directory / "other", name="other")
    assert with_baked_selection(settings, in_other_member, baked.log) is settings


def test_bake_without_a_project(baked: Baked, etl: Etl) -> None:
    """Without any file, an environment with the image's Prefect is baked."""
    empty = replace(baked, copied=(), variables={"PREFECT_UV_WHEELS": str(etl.wheels)})
    empty.bake()
    (record,) = baked_selections(baked.directory)
    assert [record.key] == [path.name for path in baked.environments]


def _preview(baked: Baked, **variables: str) -> Preview:
    settings = baked.settings(PREFECT_UV_CACHE_DIR="/nonexistent", **variables)
    project = find_project(baked.etl.directory, None, settings)
    return EnvironmentPreview(settings, baked.log).of(project, ExtraPackages(), disposable=False)


def test_doctor_foretells_a_baked_environment(baked: Baked, etl: Etl) -> None:
    """What is baked is foretold as a hit; what is not, as a refusal if PREFECT_UV_BAKED says so."""
    baked.bake()
    preview = _preview(baked, PREFECT_UV_BAKED="refuse")
    assert (preview.hit, preview.why) == (True, "it is baked into the image")
    etl.write("prefect", "helper")
    etl.lock()
    assert not _preview(baked).hit
    with pytest.raises(BakedMismatchError, match="No environment baked into the image fits etl"):
        _preview(baked, PREFECT_UV_BAKED="refuse")


def test_doctor_lists_what_is_baked(baked: Baked, etl: Etl, capfd: pytest.CaptureFixture[str]) -> None:
    """`prefect-uv doctor` has a line for each baked selection."""
    write_groups(etl)
    baked.bake("--group", "extra")
    doctor(Session(baked.settings(), baked.log))
    assert f"baked           {baked.environments[0].name[:12]} for etl (groups extra)\n" in capfd.readouterr().out


def test_other_package_is_refused(etl: Etl, cache: Path, baked: Baked) -> None:
    """PREFECT_UV_BAKED=refuse refuses even an environment that the volume has."""
    baked.bake()
    etl.write("prefect", "helper")
    etl.lock()
    baked.start()
    with pytest.raises(BakedMismatchError) as raised:
        baked.start(PREFECT_UV_BAKED="refuse")
    assert raised.value.exit_code == 76
    assert raised.value.render() == (
        "error[baked-mismatch]: No environment baked into the image fits etl.\n"
        "\n"
        f"baked environment {baked.environments[0].name[:12]} does not fit: + helper 1.0\n"
        "\n"
        "hint: Rebuild the image from this commit, so that `RUN prefect-uv bake` sees its lockfile, or export the"
        " environment again; or run the code that the image was baked for; or set PREFECT_UV_BAKED=build."
    )
    assert len(environments(cache)) == 1


def test_bake_where_nothing_else_is_allowed(baked: Baked) -> None:
    """`ENV PREFECT_UV_BAKED=refuse` may come before `RUN prefect-uv bake`, which has to build."""
    baked.bake(PREFECT_UV_BAKED="refuse")
    assert baked.start(PREFECT_UV_BAKED="refuse").hit is True


def test_damaged_index(baked: Baked) -> None:
    """With a damaged index, the baked environment is found by its key."""
    baked.bake()
    for entry in (baked.directory / "index" / "v1").iterdir():
        entry.write_text("")
    assert baked.start().path.is_relative_to(baked.directory)


def test_two_selections(etl: Etl, baked: Baked) -> None:
    """An image may have several selections, and each deployment finds its own."""
    write_groups(etl)
    baked.bake()
    baked.bake("--group", "extra")
    assert len(baked.environments) == 2
    plain, extra = baked.start(), baked.start(PREFECT_UV_GROUPS="extra")
    assert {plain.path, extra.path} == set(baked.environments)
    manifest = Manifest.read(extra.path)
    assert manifest
    assert "helper" in manifest.contents.packages


def test_only_selection_is_the_default(etl: Etl, baked: Baked, capfd: pytest.CaptureFixture[str]) -> None:
    """The only baked selection applies to that project's deployments, unless they make one; not to other projects."""
    write_groups(etl)
    baked.bake("--group", "extra")
    settings = baked.settings()
    project = find_project(etl.directory, None, settings)
    capfd.readouterr()
    assert with_baked_selection(settings, project, baked.log).groups == ("extra",)
    assert capfd.readouterr().err == (
        "prefect-uv: no groups or extras are set: using those that the image was baked with (groups extra)\n"
    )
    other = baked.settings(PREFECT_UV_GROUPS="other")
    assert with_baked_selection(other, project, baked.log) is other
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text().replace('name = "etl"', 'name = "other"'))
    assert with_baked_selection(settings, project, baked.log) is settings


def test_variables_select_as_options_do(etl: Etl, baked: Baked) -> None:
    """PREFECT_UV_GROUPS selects groups, and the option --group takes precedence over it."""
    write_groups(etl)
    baked.bake(PREFECT_UV_GROUPS="extra")
    baked.bake("--group", "extra", PREFECT_UV_GROUPS="nobody-has-this")
    (record,) = (baked.directory / "selections" / "v1").iterdir()
    assert json.loads(record.read_text())["selection"]["groups"] == ["extra"]


def test_version(baked: Baked, capfd: pytest.CaptureFixture[str]) -> None:
    """The version is recorded, and logged at each start."""
    baked.bake("--version", "1.2.3")
    capfd.readouterr()
    log_image_version(baked.settings().baked_dir, baked.log)
    assert capfd.readouterr().err == "prefect-uv: image version 1.2.3\n"


def test_empty_version(baked: Baked) -> None:
    """It is refused before anything is built: the variable of the Dockerfile was not given."""
    with pytest.raises(UsageError) as raised:
        baked.bake("--version", "")
    assert raised.value.render() == (
        "error[usage]: `prefect-uv bake`: the version is empty.\n\n"
        "hint: Pass one, as in `docker build --build-arg VERSION=1.2.3 .`, or leave the option out."
    )
    assert list(baked.directory.iterdir()) == []


def test_directory_that_is_not_writable(baked: Baked) -> None:
    """Baking into an image that is not FROM ours is refused, with a remedy."""
    baked.directory.rmdir()
    with pytest.raises(VolumeUnusableError) as raised:
        baked.bake()
    assert raised.value.render() == (
        f"error[volume-unusable]: Nothing can be baked into {baked.directory}: uid {os.geteuid()} cannot write there.\n"
        "\n"
        "hint: Bake as the image's own user (`USER 1000:0`) or as root, in an image built FROM ours."
    )


def test_environment_works(baked: Baked) -> None:
    """The baked environment's Python imports its packages."""
    baked.bake()
    python = baked.start().path / "bin" / "python"
    answer = subprocess.run([python, "-m", "prefect.flow_engine"], check=True, capture_output=True, timeout=20)
    assert answer.stdout == b"engine\n"


def test_requirements_are_baked(etl: Etl, baked: Baked, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was resolved from a requirements.txt is found without uv, even after PREFECT_UV_RESOLVE_DAYS."""
    (etl.directory / "uv.lock").unlink()
    (etl.directory / "pyproject.toml").unlink()
    (etl.directory / "requirements.txt").write_text("prefect\nhelper\n")
    wheels = {"PREFECT_UV_WHEELS": str(etl.wheels), "PREFECT_UV_RESOLVE_DAYS": "0"}
    replace(baked, copied=("requirements.txt",), variables=wheels).bake()
    monkeypatch.setattr(Uv, "run", no_uv)
    assert baked.start(**wheels).path == baked.environments[0]


def test_pylock_is_baked(etl: Etl, baked: Baked, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found without uv, and its only baked selection is the default."""
    (etl.directory / "uv.lock").unlink()
    helper = pylock_entry(etl.wheels / "helper-1.0-py3-none-any.whl", '"ml" in dependency_groups')
    (etl.directory / "pylock.toml").write_text(PDM + pylock_entry(etl.wheels / WHEEL) + helper)
    replace(baked, copied=("pyproject.toml", "pylock.toml")).bake("--group", "ml")
    monkeypatch.setattr(Uv, "run", no_uv)
    settings = baked.settings()
    project = find_project(etl.directory, None, settings)
    assert with_baked_selection(settings, project, baked.log).groups == ("ml",)
    assert baked.start(PREFECT_UV_GROUPS="ml").path == baked.environments[0]


def test_script_is_baked(etl: Etl, baked: Baked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that `--project` names is baked; the uv settings next to it are copied too, for the fingerprint."""
    (etl.directory / "moon.py").write_text('# /// script\n# dependencies = ["prefect", "helper"]\n# ///\n')
    wheels = {"PREFECT_UV_WHEELS": str(etl.wheels)}
    replace(baked, copied=("moon.py", "pyproject.toml"), variables=wheels).bake("--project", "moon.py")
    monkeypatch.setattr(Uv, "run", no_uv)
    store = baked.store(**wheels)
    project = find_project(etl.directory, "moon.py:phase", store.settings)
    assert store.environment(project).path == baked.environments[0]


def test_code_is_installed(etl: Etl, baked: Baked) -> None:
    """A start with the same code and environment finds the installation; after an edit it does not."""
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text().replace("../wheels", str(etl.wheels)) + BUILT)
    etl.lock()
    (etl.directory / "src" / "etl").mkdir(parents=True)
    module = etl.directory / "src" / "etl" / "__init__.py"
    module.write_text("def main():\n    print('installed')\n")
    baked.bake("--install-project", whole=True)
    (installation,) = (baked.directory / "code" / "v1").iterdir()
    store = baked.store()
    project = find_project(etl.directory, None, store.settings)
    assert baked_code_directory(store.settings.baked_dir, project, store.environment(project)) == installation
    answer = subprocess.run(
        [installation / "bin" / "say"],
        check=True,
        capture_output=True,
        timeout=20,
        env={"PYTHONPATH": str(installation)},
    )
    assert answer.stdout == b"installed\n"
    module.write_text("")
    assert baked_code_directory(store.settings.baked_dir, project, store.environment(project)) != installation


def test_nothing_to_install(baked: Baked, capfd: pytest.CaptureFixture[str]) -> None:
    """A project without a build system has nothing to install, and the log says so."""
    baked.bake("--install-project")
    assert capfd.readouterr().err.endswith("prefect-uv: nothing to install: no package here has a build system\n")


def test_local_package_that_was_not_copied(etl: Etl, baked: Baked) -> None:
    """The hint for a local package that was not copied is about the Dockerfile."""
    (etl.directory / "shared").mkdir()
    (etl.directory / "shared" / "pyproject.toml").write_text('[project]\nname = "shared"\nversion = "1"\n')
    etl.write("prefect", "shared")
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text() + '[tool.uv.sources]\nshared = { path = "shared" }\n')
    etl.lock()
    with pytest.raises(LocalDependencyMissingError) as raised:
        baked.bake()
    copy = baked.directory.parent / "build" / "etl"
    assert raised.value.render() == (
        f"error[dependency-unreachable]: shared, a path dependency in {copy}/uv.lock, was not pulled.\n"
        "\n"
        f"{copy}/shared does not exist.\n"
        "\n"
        "hint: COPY its pyproject.toml to that path as well; the sources are not needed."
    )
