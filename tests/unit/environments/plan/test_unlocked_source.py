"""Unlocked requirements: a real uv resolves them once, and the answer is kept for a while."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import (
    HashMismatchError,
    IndexUnreachableError,
    LocalDependencyMissingError,
    PrefectMissingError,
    SettingsInvalidError,
    UnresolvableError,
)
from prefect_uv.project import find_project
from tests.unit.environments.test_environment_store import no_uv
from tests.unit.etl import WHEEL, Etl, environments, leftovers, only_wheels, unlocked
from tests.unit.http_server import Answer, Server
from tests.unit.wheels import build_wheel

OTHER_HASH = "sha256:" + "0" * 64
NEEDY = (("prefect==3.8.8", "prefect-*"), ("needy==1.0", "needy-*"))
SCRIPT = """\
# /// script
# requires-python = ">=3.11"
# dependencies = ["prefect", "helper<2"]
#
# [tool.uv]
# no-index = true
# find-links = ["{wheels}"]
# ///
print("code")
"""


@pytest.fixture
def store(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> Callable[..., EnvironmentStore]:
    """Makes stores that install from the directory of wheels."""
    configuration = only_wheels(etl)
    return lambda **variables: make_store(UV_CONFIG_FILE=configuration, **variables)


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """An unpinned requirements file."""
    path = tmp_path / "requirements.txt"
    path.write_text("prefect\nhelper\n")
    return path


def age(cache: Path, days: float) -> None:
    """Make every index entry older."""
    for path in (cache / "index" / "v1").iterdir():
        entry = json.loads(path.read_text())
        path.write_text(json.dumps({**entry, "resolved": entry["resolved"] and time.time() - days * 86400}))


def test_requirements_file(
    requirements: Path, cache: Path, store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is like one from a lock: under its key, verified, and found again without uv."""
    first = store().environment(unlocked(files=[requirements]))
    assert installed_versions(first.path) == {"prefect": "3.8.8", "helper": "1.0"}
    assert environments(cache) == [first.path]
    assert leftovers(cache) == []
    monkeypatch.setattr(Uv, "run", no_uv)
    second = store().environment(unlocked(files=[requirements]))
    assert (second.hit, second.key) == (True, first.key)


def test_edit_of_an_included_file(requirements: Path, store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """Included files are part of the fingerprint."""
    (tmp_path / "more.txt").write_text("# nothing yet\n")
    requirements.write_text("prefect\n-r more.txt\n")
    first = store().environment(unlocked(files=[requirements]))
    (tmp_path / "more.txt").write_text("helper\n")
    second = store().environment(unlocked(files=[requirements]))
    assert set(installed_versions(second.path)) - set(installed_versions(first.path)) == {"helper"}


@pytest.mark.parametrize(
    ("name", "limits", "version"),
    [
        ("UV_CONSTRAINT", ("helper<2", "helper<3"), "2.0"),
        ("UV_OVERRIDE", ("helper==1.0", "helper==2.0"), "2.0"),
        ("UV_EXCLUDE", ("needy", "helper"), None),
    ],
)
def test_edit_of_a_constraints_file(
    requirements: Path, store: Callable[..., EnvironmentStore], name: str, limits: tuple[str, str], version: str | None
) -> None:
    """The next start resolves with the new content; a relative path starts at the project, as for uv."""
    build_wheel(requirements.parent / "wheels", "helper", "2.0", {})
    versions = []
    for content in limits:
        (requirements.parent / "limits.txt").write_text(f"{content}\n")
        environment = store(**{name: "limits.txt"}).environment(unlocked(files=[requirements]))
        versions.append(installed_versions(environment.path).get("helper"))
    assert versions[0] != versions[1] == version


def script_environment(store: EnvironmentStore, script: Path) -> Environment:
    """The environment of a script, as a start gets it."""
    return store.environment(find_project(script.parent, f"{script.name}:flow", store.settings))


def test_script(
    etl: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its block and uv settings decide; an edit of its code changes nothing."""
    build_wheel(etl.wheels, "helper", "2.0", {"helper.py": ""})
    script = tmp_path / "flow.py"
    script.write_text(SCRIPT.format(wheels=etl.wheels))
    first = script_environment(make_store(), script)
    assert installed_versions(first.path) == {"prefect": "3.8.8", "helper": "1.0"}
    monkeypatch.setattr(Uv, "run", no_uv)
    script.write_text(script.read_text() + "more = 'code'\n")
    assert script_environment(make_store(), script).hit


@pytest.mark.parametrize("tag", ["win_amd64", "macosx_11_0_arm64.macosx_11_0_x86_64"])
def test_wheels_of_other_platforms_do_not_count(
    etl: Etl, make_store: Callable[..., EnvironmentStore], cache: Path, tag: str
) -> None:
    """A wheel that is added for another platform leaves a script's environment as it is."""
    script = etl.directory / "flow.py"
    script.write_text(SCRIPT.format(wheels=etl.wheels))
    before = script_environment(make_store(), script)
    wheel = build_wheel(etl.directory / "built", "helper", "1.0", {"helper.py": f"x = '{tag}'\n"})
    wheel.rename(etl.wheels / f"helper-1.0-py3-none-{tag}.whl")
    age(cache, 1.01)
    assert script_environment(make_store(), script).key == before.key


SOURCES = """\
# /// script
# dependencies = ["prefect", "helper", "lib", "trinket<2 ; python_version < '3.5'", "trinket ; python_version > '3'"]
#
# [tool.uv]
# no-index = true
# find-links = ["{wheels}"]
#
# [tool.uv.sources]
# helper = {{ path = "{helper}" }}
# lib = {{ path = "libs/lib" }}
# ///
"""


def test_sources_of_a_script(etl: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """They take precedence over the index; source code is imported, and its dependencies are installed."""
    helper = build_wheel(tmp_path / "vendor", "helper", "1.0", {"helper.py": "x = 'own'\n"})
    for version in ("1.5", "2.0"):
        build_wheel(etl.wheels, "helper", version, {"helper.py": "x = 'index'\n"})
        build_wheel(etl.wheels, "trinket", version, {"trinket.py": ""})
    build_wheel(etl.wheels, "needy", "1.0", {"needy.py": ""})
    lib = tmp_path / "libs" / "lib"
    lib.mkdir(parents=True)
    (lib / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\ndependencies = ["needy"]\n')
    script = tmp_path / "flow.py"
    script.write_text(SOURCES.format(wheels=etl.wheels, helper=helper))
    made = script_environment(make_store(), script)
    assert installed_versions(made.path) == {"prefect": "3.8.8", "helper": "1.0", "needy": "1.0", "trinket": "2.0"}
    assert next(made.path.glob("lib/*/site-packages/helper.py")).read_text() == "x = 'own'\n"
    assert lib in find_project(tmp_path, "flow.py:flow", make_store().settings).source_roots
    assert not script.with_name("flow.py.lock").exists()
    build_wheel(tmp_path / "vendor", "helper", "1.0", {"helper.py": "x = 'new'\n"})
    assert (
        next(script_environment(make_store(), script).path.glob("lib/*/site-packages/helper.py")).read_text()
        == "x = 'new'\n"
    )


@pytest.mark.parametrize(
    ("variable", "lines"),
    [
        ("UV_CONSTRAINT", "trinket<2 ; python_version > '3'\ntrinket<1 ; python_version < '3'\n"),
        ("UV_CONSTRAINT", "-c more.txt  # comment\n"),
        ("UV_OVERRIDE", "trinket==1.5 \\\n  --hash=sha256:0\n"),
        ("UV_EXCLUDE", "trinket\n"),
    ],
)
def test_limits_of_a_script(
    etl: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path, variable: str, lines: str
) -> None:
    """A script without a lock is limited like requirements, and finds everything that its block names by path."""
    for version in ("1.5", "2.0"):
        build_wheel(etl.wheels, "trinket", version, {"trinket.py": ""})
    script, helper = tmp_path / "flow.py", build_wheel(tmp_path / "vendor", "helper", "1.0", {"helper.py": ""})
    (tmp_path / "libs" / "lib").mkdir(parents=True)
    (tmp_path / "libs" / "lib" / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    script.write_text(SOURCES.format(wheels="wheels", helper=helper.relative_to(tmp_path)))
    for name, text in (("limits.txt", lines), ("more.txt", "trinket<2\n")):
        (tmp_path / name).write_text(text)
    made = script_environment(make_store(**{variable: "limits.txt"}), script)
    trinket = {} if variable == "UV_EXCLUDE" else {"trinket": "1.5"}
    assert installed_versions(made.path) == {"prefect": "3.8.8", "helper": "1.0", **trinket}


def test_missing_limits_of_a_script(make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """The full text."""
    script = tmp_path / "flow.py"
    script.write_text('# /// script\n# dependencies = ["prefect"]\n# ///\n')
    with pytest.raises(SettingsInvalidError) as caught:
        script_environment(make_store(UV_CONSTRAINT="nowhere.txt"), script)
    assert caught.value.render().replace(str(tmp_path), "/code") == (
        "error[settings-invalid]: UV_CONSTRAINT names a file that does not exist.\n\n"
        "There is no file /code/nowhere.txt.\n\n"
        "hint: Mount it, or correct UV_CONSTRAINT; for a script it must be a path."
    )


def test_script_from_wheels(etl: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """A script installs without an index, even with source code next to it."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    script = tmp_path / "flow.py"
    sources = "# [tool.uv.sources]\n# lib = { path = 'lib' }\n"
    script.write_text(f'# /// script\n# dependencies = ["prefect", "helper", "lib"]\n{sources}# ///\n')
    made = script_environment(make_store(PREFECT_UV_WHEELS=str(etl.wheels)), script)
    assert installed_versions(made.path) == {"prefect": "3.8.8", "helper": "1.0"}


def test_source_that_was_not_pulled(make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """The full text, before uv is asked."""
    script = tmp_path / "flow.py"
    script.write_text(SOURCES.format(wheels="", helper="vendor/helper.whl"))
    with pytest.raises(LocalDependencyMissingError) as caught:
        script_environment(make_store(), script)
    assert caught.value.render().replace(str(tmp_path), "/code") == (
        "error[dependency-unreachable]: /code/flow.py installs vendor/helper.whl, which was not pulled.\n\n"
        "/code/vendor/helper.whl does not exist.\n\n"
        "hint: Pull it with the code, or remove the line."
    )


def test_new_wheel_of_the_same_name(requirements: Path, etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """In the wheel directory or named by requirements: new content gives a new environment."""
    vendor = requirements.parent / "vendor"
    for content in ("x = 1\n", "x = 22\n"):
        build_wheel(etl.wheels, "helper", "1.0", {"helper.py": content})
        acme = build_wheel(vendor, "acme", "1.0", {"acme.py": content})
        requirements.write_text(f"prefect==3.8.8\nhelper==1.0\n./vendor/{acme.name}\n")
        made = make_store(PREFECT_UV_WHEELS=str(etl.wheels)).environment(unlocked(files=[requirements]))
        for module in ("helper", "acme"):
            assert next(made.path.glob(f"lib/*/site-packages/{module}.py")).read_text() == content


@pytest.mark.parametrize(("requirement", "prefect"), [("helper", "prefect-client"), ("prefect", "prefect")])
def test_prefect_or_its_client(
    etl: Etl, store: Callable[..., EnvironmentStore], requirement: str, prefect: str
) -> None:
    """All of Prefect is installed only if a requirement needs it, and never both: they have the same files."""
    build_wheel(etl.wheels, "prefect_client", "3.8.8", {"prefect/__init__.py": ""})
    project = unlocked(requirement, "prefect-client==3.8.8", constraints=["prefect==3.8.8"])
    assert set(installed_versions(store().environment(project).path)) == {requirement, prefect}


def test_prefect_missing(store: Callable[..., EnvironmentStore], cache: Path) -> None:
    """Requirements without Prefect are refused, because no flow could run."""
    with pytest.raises(PrefectMissingError) as caught:
        store().environment(unlocked("helper"))
    assert caught.value.render() == (
        "error[prefect-missing]: Prefect is not among the requirements of etl.\n\n"
        "uv resolved them to helper.\n\n"
        "hint: Add `prefect`, commit, and push."
    )
    assert environments(cache) == []


def test_no_version_fits(store: Callable[..., EnvironmentStore], cache: Path) -> None:
    """The error contains uv's own words."""
    with pytest.raises(UnresolvableError) as caught:
        store().environment(unlocked("prefect", "helper>=9"))
    assert caught.value.headline == "No versions of the requirements fit together."
    assert "helper>=9" in caught.value.found
    assert environments(cache) == []


HASHES = (
    "error[hash-mismatch]: The package index has no file with a hash that the requirements name.\n\n"
    "{package}\n\n"
    "hint: Compile the requirements again if they lack the package, or if it was rebuilt on purpose; else ask who did"
    " it."
)


def hash_of(wheel: Path) -> str:
    """The hash option of a wheel, as in requirements files."""
    return f"--hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


def test_hashes_are_enforced(requirements: Path, etl: Etl, store: Callable[..., EnvironmentStore], cache: Path) -> None:
    """Only a file whose hash the requirements name is installed."""
    requirements.write_text(f"prefect {hash_of(etl.wheels / WHEEL)}\nhelper==1.0 \\\n    --hash={OTHER_HASH}\n")
    with pytest.raises(HashMismatchError) as caught:
        store().environment(unlocked(files=[requirements]))
    assert caught.value.render() == HASHES.format(package="helper 1.0")
    assert environments(cache) == []
    own = hash_of(etl.wheels / "helper-1.0-py3-none-any.whl")
    prefect = f"prefect==3.8.8 {hash_of(etl.wheels / WHEEL)}"
    other = "helper==0.9 ; sys_platform == 'win32'"
    requirements.write_text(f"{prefect}\nhelper==1.0 --hash={OTHER_HASH} {own}\n{other}\n")
    assert "helper" in installed_versions(store().environment(unlocked(files=[requirements])).path)


def test_hashed_requirements_must_name_everything(
    requirements: Path, etl: Etl, store: Callable[..., EnvironmentStore]
) -> None:
    """As with pip, a needed package that they do not name is refused."""
    build_wheel(etl.wheels, "needy", "1.0", {"needy.py": ""}, requires=["helper"])
    own = [f"{name} {hash_of(next(etl.wheels.glob(pattern)))}" for name, pattern in NEEDY]
    requirements.write_text("\n".join(own) + "\n")
    with pytest.raises(HashMismatchError) as caught:
        store().environment(unlocked(files=[requirements]))
    assert caught.value.render() == HASHES.format(package="helper 1.0")


def test_unpinned_versions_are_resolved_again_after_a_day(
    requirements: Path,
    etl: Etl,
    cache: Path,
    store: Callable[..., EnvironmentStore],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same versions give the same environment; a newer one gives another, and the log says so."""
    first = store().environment(unlocked(files=[requirements]))
    age(cache, 1.01)
    assert store().environment(unlocked(files=[requirements])).key == first.key
    build_wheel(etl.wheels, "helper", "2.0", {"helper.py": "x = 2\n"})
    assert store().environment(unlocked(files=[requirements])).key == first.key
    age(cache, 1.01)
    assert installed_versions(store().environment(unlocked(files=[requirements])).path)["helper"] == "2.0"
    assert f"is new; changes from {first.key[:12]}: helper 1.0 -> 2.0" in capsys.readouterr().err


def test_pinned_requirements_never_expire(
    requirements: Path, cache: Path, store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No new release can change them."""
    requirements.write_text("prefect==3.8.8\nhelper == 1.0\n")
    store().environment(unlocked(files=[requirements]))
    age(cache, 1000)
    monkeypatch.setattr(Uv, "run", no_uv)
    assert store().environment(unlocked(files=[requirements])).hit


def test_old_versions_stay_while_the_index_is_down(
    etl: Etl,
    server: Server,
    cache: Path,
    make_store: Callable[..., EnvironmentStore],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run goes on with the earlier versions and a warning; without an earlier answer it is an error."""
    wheel = (etl.wheels / WHEEL).read_bytes()
    server.on(
        "GET /api/prefect/",
        Answer(body=f"<a href='{WHEEL}'>{WHEEL}</a>".encode(), headers={"Content-Type": "text/html"}),
    )
    server.on(f"GET /api/prefect/{WHEEL}", Answer(body=wheel))
    variables = {"UV_DEFAULT_INDEX": server.url, "UV_HTTP_RETRIES": "0"}
    first = make_store(**variables).environment(unlocked("prefect"))
    server.on("GET /api/prefect/", Answer(500))
    age(cache, 2)
    assert make_store(**variables).environment(unlocked("prefect")).key == first.key
    assert "warning: versions of etl could not be resolved again: " in capsys.readouterr().err
    with pytest.raises(IndexUnreachableError):
        make_store(**variables).environment(unlocked("prefect>=3"))


def test_credentials_of_a_requirement_are_not_kept(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], server: Server
) -> None:
    """No file of the environment or the index contains them."""
    for name in ("helper-1.0-py3-none-any.whl", WHEEL):
        server.on(f"GET /api/{name}", Answer(body=(etl.wheels / name).read_bytes()))
    url = server.url.replace("//", "//ada:t0ken@")
    project = unlocked(f"helper @ {url}/helper-1.0-py3-none-any.whl", f"prefect @ {url}/{WHEEL}")
    made = make_store().environment(project)
    assert set(installed_versions(made.path)) == {"helper", "prefect"}
    files = [path for name in ("envs", "index") for path in (cache / name).rglob("*") if path.is_file()]
    assert [path for path in files if b"t0ken" in path.read_bytes()] == []
