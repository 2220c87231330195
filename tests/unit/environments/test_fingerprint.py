"""Fingerprint and key: what changes them, and what does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.environments.key.fingerprint import (
    LIMIT_VARIABLES,
    NEUTRAL_VARIABLES,
    digest_fields,
    fingerprint,
    uv_variables,
)
from prefect_uv.environments.plan.locked_source import LockedSource, planned_packages
from prefect_uv.environments.uv.configuration_files import uv_configuration_files
from prefect_uv.image_facts import Image
from prefect_uv.project import LockedProject
from prefect_uv.project.files.requirement_lines import parse_requirements

IMAGE = Image("py313", "0.1.0", "0.13.8", "3.8.8", "/usr/bin/python3.13", "3.13.5", "CPython-cpython-313-linux")
PROJECT = LockedProject(
    name="etl",
    shape="project",
    directory=Path("/a"),
    root=Path("/a"),
    inputs=(("/uv.lock", b"lock"), ("/pyproject.toml", b"project")),
    source_roots=(Path("/a"),),
)
NOTHING: Mapping[str, str] = {}
REQUIREMENTS = "prefect==3.8.8 --hash=sha256:aa\n"


def fingerprint_of(
    project: LockedProject = PROJECT,
    image: Image = IMAGE,
    policy: str = "locked",
    environ: Mapping[str, str] = NOTHING,
) -> str:
    """The fingerprint of a project."""
    return fingerprint(LockedSource(project, policy).fields(), image, environ, project.directory)


def key_of(requirements: str = REQUIREMENTS, image: Image = IMAGE, environ: Mapping[str, str] = NOTHING) -> str:
    """The key of an environment with these requirements."""
    settings = tuple(uv_variables(environ, PROJECT.directory, indexes=False))
    planned = {"prefect": "3.8.8"}
    return Contents(
        image.uv_minor,
        image.python,
        image.python_version,
        image.platform,
        settings,
        planned_packages(parse_requirements(requirements), planned),
    ).key


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_different_fields_have_different_digests(one: list[bytes], other: list[bytes]) -> None:
    """Equal digests mean equal lists of fields."""
    assert (digest_fields(one) == digest_fields(other)) == (one == other)


@given(st.binary(min_size=1), st.binary(), st.binary())
def test_digest_depends_on_where_a_field_ends(first: bytes, second: bytes, third: bytes) -> None:
    """The same bytes in other fields have another digest."""
    assert (
        digest_fields([first + second, third]) != digest_fields([second, first + third])
        or first + second == second + first
    )
    assert digest_fields([first + second]) != digest_fields([first, second])


def test_text_and_bytes_are_the_same_field() -> None:
    """A string counts as its UTF-8 bytes."""
    assert digest_fields(["é"]) == digest_fields(["é".encode()])


@pytest.mark.parametrize("name", sorted(NEUTRAL_VARIABLES))
def test_neutral_variables(name: str) -> None:
    """A variable that cannot change the result changes neither fingerprint nor key."""
    assert fingerprint_of(environ={name: "x"}) == fingerprint_of()
    assert key_of(environ={name: "x"}) == key_of()


@pytest.mark.parametrize("environ", [{"PATH": "/x"}, {"PREFECT_API_KEY": "x"}, {"PREFECT_UV_CACHE_DIR": "/x"}])
def test_variables_of_other_programs(environ: dict[str, str]) -> None:
    """Only uv's variables change anything."""
    assert fingerprint_of(environ=environ) == fingerprint_of()
    assert key_of(environ=environ) == key_of()


@pytest.mark.parametrize("name", ["UV_NO_BINARY", "UV_SOMETHING_NEW", "UV_EXCLUDE_NEWER"])
def test_other_uv_variables_change_both(name: str) -> None:
    """A variable of uv that is not known to be neutral changes fingerprint and key."""
    assert fingerprint_of(environ={name: "x"}) != fingerprint_of()
    assert key_of(environ={name: "x"}) != key_of()


def test_index_changes_the_fingerprint_only() -> None:
    """With another index uv must be asked again, but the same packages are the same environment."""
    environ = {"UV_DEFAULT_INDEX": "https://index.example/simple"}
    assert fingerprint_of(environ=environ) != fingerprint_of()
    assert key_of(environ=environ) == key_of()


@pytest.mark.parametrize("name", sorted(LIMIT_VARIABLES))
def test_constraints_change_the_fingerprint_only(tmp_path: Path, name: str) -> None:
    """The contents of the files, includes too, decide what is resolved; the key contains the result itself."""
    environ = {name: f"limits.txt {tmp_path}/no-such.txt https://h/more.txt"}
    project = replace(PROJECT, directory=tmp_path, root=tmp_path)
    names = [fingerprint_of(project)]
    for limits, more in (("helper==1.0", ""), ("helper==2.0", ""), ("-r more.txt", "helper"), ("-r more.txt", "needy")):
        (tmp_path / "limits.txt").write_text(limits)
        (tmp_path / "more.txt").write_text(more)
        names.append(fingerprint_of(project, environ=environ))
    assert len(set(names)) == len(names)
    assert key_of(environ=environ) == key_of()


def test_build_constraints_change_both(tmp_path: Path) -> None:
    """Other build tools may build other files from the same sources."""
    names = [fingerprint_of(), key_of()]
    file = tmp_path / "build.txt"
    for content in ("setuptools<80", "setuptools<90"):
        file.write_text(content)
        names += [
            fingerprint_of(environ={"UV_BUILD_CONSTRAINT": str(file)}),
            key_of(environ={"UV_BUILD_CONSTRAINT": str(file)}),
        ]
    assert len(set(names)) == len(names)


def test_configuration_files_are_those_that_uv_reads(tmp_path: Path) -> None:
    """They are the user's and the first of the system's (XDG), or only the named one, relative to where uv runs."""
    for name in ("user", "first", "second"):
        (tmp_path / name / "uv").mkdir(parents=True)
        (tmp_path / name / "uv" / "uv.toml").write_text(f"no-build-package = ['{name}']\n")
    system = {"XDG_CONFIG_DIRS": f"{tmp_path}/none:{tmp_path}/first:{tmp_path}/second"}
    files = [
        [Path(path).relative_to(tmp_path).parts[0] for path, _ in uv_configuration_files(environ, tmp_path)]
        for environ in (
            system,
            {**system, "XDG_CONFIG_HOME": f"{tmp_path}/user"},
            {**system, "UV_CONFIG_FILE": "second/uv/uv.toml"},
        )
    ]
    assert files == [["first"], ["user", "first"], ["second"]]
    names = {fingerprint_of(environ=system)}
    (tmp_path / "first" / "uv" / "uv.toml").write_text("no-build = true\n")
    assert fingerprint_of(environ=system) not in names


def test_preference_for_a_python_changes_the_fingerprint_only() -> None:
    """The key contains the chosen interpreter itself."""
    environ = {"UV_PYTHON_PREFERENCE": "only-managed"}
    assert fingerprint_of(environ=environ) != fingerprint_of()
    assert key_of(environ=environ) == key_of()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"UV_INDEX_PRIVATE_PASSWORD": "a"}, {"UV_INDEX_PRIVATE_PASSWORD": "b"}),
        ({"UV_INDEX_PRIVATE_USERNAME": "a"}, {}),
        ({"UV_DEFAULT_INDEX": "https://u:a@index.example/s"}, {"UV_DEFAULT_INDEX": "https://u:b@index.example/s"}),
        ({"UV_DEFAULT_INDEX": "https://u:a@b@index.example/s"}, {"UV_DEFAULT_INDEX": "https://index.example/s"}),
        ({"UV_INDEX": "p=https://tok@index.example/s"}, {"UV_INDEX": "p=https://index.example/s"}),
        (
            {"UV_INDEX": "https://u:a@a.example https://u:b@b.example"},
            {"UV_INDEX": "https://a.example https://b.example"},
        ),
    ],
)
def test_credentials_change_nothing(one: dict[str, str], other: dict[str, str]) -> None:
    """A renewed token finds the same environment."""
    assert fingerprint_of(environ=one) == fingerprint_of(environ=other)
    assert key_of(environ=one) == key_of(environ=other)


@pytest.mark.parametrize(
    "project",
    [
        replace(PROJECT, inputs=(("/uv.lock", b"lock # comment"), ("/pyproject.toml", b"project"))),
        replace(PROJECT, inputs=(("/uv.lock", b"lock"),)),
        replace(PROJECT, inputs=(("/uv.lock", b"project"), ("/pyproject.toml", b"lock"))),
        replace(PROJECT, python_request="3.12"),
        replace(PROJECT, directory=Path("/a/member")),
    ],
)
def test_raw_inputs_change_the_fingerprint(project: LockedProject) -> None:
    """Every byte of the files, the requested Python and the member's directory count."""
    assert fingerprint_of(project) != fingerprint_of()


def test_path_of_the_checkout_changes_nothing() -> None:
    """The same project in another directory has the same fingerprint."""
    assert (
        fingerprint_of(replace(PROJECT, directory=Path("/b"), root=Path("/b"), source_roots=(Path("/b"),)))
        == fingerprint_of()
    )


@pytest.mark.parametrize(
    "image",
    [
        replace(IMAGE, uv="0.14.0"),
        replace(IMAGE, python="/usr/bin/python3.12"),
        replace(IMAGE, python_version="3.13.6"),
        replace(IMAGE, platform="CPython-cpython-313-linux-aarch64"),
    ],
)
def test_other_interpreter_or_platform_changes_both(image: Image) -> None:
    """An environment works only with the interpreter and platform that it was built for."""
    assert fingerprint_of(image=image) != fingerprint_of()
    assert key_of(image=image) != key_of()


def test_patch_of_uv_and_our_release_change_nothing() -> None:
    """A new release of the image finds the environments of the old one."""
    image = replace(IMAGE, uv="0.13.9", version="0.2.0", name="other", prefect="3.9.0")
    assert fingerprint_of(image=image) == fingerprint_of()
    assert key_of(image=image) == key_of()


def test_lock_policy_and_requirements_change_the_names() -> None:
    """Another policy has another fingerprint, and other requirements have another key."""
    assert fingerprint_of(policy="frozen") != fingerprint_of()
    assert key_of(REQUIREMENTS.replace("aa", "bb")) != key_of()
