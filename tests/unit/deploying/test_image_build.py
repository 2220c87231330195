"""What decides an image: the files that uv and the entrypoint read, the selection and the base; and never a secret."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from images.family import ROOT
from prefect_uv_deploy.buildkit import BuildKitClient
from prefect_uv_deploy.errors import DeployError
from prefect_uv_deploy.image_build import ImageBuild
from prefect_uv_deploy.image_builder import FoundImage, ImageBuilder, names_registry
from prefect_uv_deploy.selection import bake_options, build_environment

DECIDING = [
    ".python-version",
    "libs/shared/pyproject.toml",
    "pyproject.toml",
    "requirements/base.txt",
    "requirements-extras.txt",
    "uv.lock",
    "wheels/trinket-1.0-py3-none-any.whl",
]
CODE = ["README.md", "data/big.csv", "flows.py", "libs/shared/src/shared.py", "notes.txt"]
LOGIN = "UV_INDEX_A_PASSWORD"
KEY = {"key": "58384f90b151" + 52 * "0", "fingerprint": "f", "project": "etl", "extra": ""}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with files that decide its environment, and others."""
    for name in (*DECIDING, *CODE):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "project" / "requirements" / "base.txt").write_text("-r ../more/names.txt\n-r ../../outside.txt\n")
    (tmp_path / "outside.txt").write_text("outside")
    return tmp_path / "project"


def build_of(project: Path, **options: Any) -> ImageBuild:
    """A build of the project."""
    return ImageBuild(**{"base": "prefect-uv:py313", "directory": project, **options})


def test_files_that_decide(project: Path) -> None:
    """Manifests, locks, requirements with what they include, and wheels; code does not, unless it is named."""
    (project / "more").mkdir()
    (project / "more" / "names.txt").write_text("cowsay")
    assert build_of(project).files == sorted([*DECIDING, "more/names.txt"])
    assert "flows.py" in build_of(project, options=("--project", "flows.py")).files
    assert "notes.txt" in build_of(project, environment={"PREFECT_UV_EXTRA_REQUIREMENTS": "notes.txt"}).files
    assert "data/big.csv" in build_of(project, include=["data/*.csv"]).files


def test_code_decides_only_if_it_is_in_the_image(project: Path) -> None:
    """An edit of code changes no tag by default; with the code in the image it does."""
    before, with_code = build_of(project), build_of(project, code=True)
    tags = before.inputs_tag, before.key_tag(KEY, "base"), with_code.inputs_tag, with_code.key_tag(KEY, "base")
    (project / "flows.py").write_text("edited")
    after, with_code = build_of(project), build_of(project, code=True)
    assert (after.inputs_tag, after.key_tag(KEY, "base")) == tags[:2]
    assert {with_code.inputs_tag, with_code.key_tag(KEY, "base")} & {*tags[2:]} == set()


@pytest.mark.parametrize(
    "other",
    [
        {"base": "prefect-uv:py312"},
        {"options": ("--group", "etl")},
        {"environment": {"PREFECT_UV_LOCK": "frozen"}},
        {"version": "1.0"},
        {"platforms": ("linux/amd64", "linux/arm64")},
    ],
)
def test_what_else_decides(project: Path, other: dict[str, Any]) -> None:
    """Base, selection, variables, version and platforms make another image."""
    assert build_of(project).inputs_tag != build_of(project, **other).inputs_tag
    assert build_of(project).inputs_tag == build_of(project, network="host", build_args={"HTTPS_PROXY": "x"}).inputs_tag


def test_tags_of_the_key(project: Path) -> None:
    """The tag begins as the key in the run's log; the base, the selection and extra packages are in the rest."""
    build = build_of(project)
    tag = build.key_tag(KEY, "base")
    assert tag.startswith("58384f90b151-")
    others = [
        build.key_tag(KEY, "another base"),
        build.key_tag({**KEY, "extra": "e"}, "base"),
        build_of(project, options=("--group", "etl")).key_tag(KEY, "base"),
    ]
    assert len({tag, *others}) == 4
    (project / "pyproject.toml").write_text("# only a comment is new")
    assert build_of(project).key_tag(KEY, "base") == tag


def test_context_has_what_matters(project: Path) -> None:
    """For dependencies, no code is sent; with code, all but what git and .dockerignore ignore."""
    (project / ".gitignore").write_text("*.csv\n")
    (project / ".dockerignore").write_text("# comments\n\n*.md\nlibs/*/src\n")

    def sent(build: ImageBuild) -> set[str]:
        with build.context(buildkit=True) as file, tarfile.open(fileobj=file) as archive:
            return {entry.name for entry in archive if entry.isfile()}

    dependencies = {f"dependencies/{name}" for name in DECIDING}
    assert sent(build_of(project)) == {"Dockerfile", *dependencies}
    code = {f"code/{name}" for name in (*DECIDING, "flows.py", "notes.txt", ".gitignore")}
    assert sent(build_of(project, code=True)) - {"code/.dockerignore"} == {"Dockerfile", *dependencies, *code}


def test_dockerfile(project: Path) -> None:
    """With BuildKit it has mounts; words are arguments, whatever is in them."""
    build = build_of(project, options=("--project", 'a b"$HOME'), secrets=[LOGIN], version="1.4.0")
    assert build.dockerfile(buildkit=True) == (
        "FROM prefect-uv:py313\n"
        "WORKDIR /opt/prefect/app\n"
        "COPY dependencies/ ./\n"
        "RUN --mount=type=cache,target=/cache,uid=1000 --mount=type=secret,id=UV_INDEX_A_PASSWORD,uid=1000 ["
        '"env", "UV_INDEX_A_PASSWORD_FILE=/run/secrets/UV_INDEX_A_PASSWORD", '
        '"prefect-uv", "bake", "--project", "a b\\"$HOME"]\n'
        "COPY code/ ./\n"
        "RUN --mount=type=cache,target=/cache,uid=1000 --mount=type=secret,id=UV_INDEX_A_PASSWORD,uid=1000 ["
        '"env", "UV_INDEX_A_PASSWORD_FILE=/run/secrets/UV_INDEX_A_PASSWORD", '
        '"prefect-uv", "bake", "--project", "a b\\"$HOME",'
        ' "--install-project", "--version", "1.4.0"]\n'
        'LABEL org.opencontainers.image.version="1.4.0"\n'
    )
    assert "--mount" not in build_of(project).dockerfile(buildkit=False)


@pytest.mark.parametrize(
    "options",
    [
        {"base": "a b"},
        {"base": ""},
        {"version": ""},
        {"version": '1"\nRUN x'},
        {"secrets": ["a=b"]},
        {"secrets": ["API_TOKEN"]},
    ],
)
def test_invalid_builds(project: Path, options: dict[str, Any]) -> None:
    """What would be another Dockerfile than it seems is refused."""
    with pytest.raises(DeployError):
        build_of(project, **options)


def test_selection_by_arguments() -> None:
    """Names as a list or as text; what is no name is refused."""
    assert bake_options("etl, ml", None, ["x"], "member", "flows/etl") == (
        *("--group", "etl", "--group", "ml", "--extra", "x"),
        *("--package", "member", "--project", "flows/etl"),
    )
    for name in ("--all", "a;b", ""):
        with pytest.raises(DeployError) if name else pytest.MonkeyPatch.context():
            assert bake_options([name], None, None, None, None) == ()


def test_selection_by_job_variables() -> None:
    """Variables that change the environment count, secrets never; the step's own take precedence."""
    job = {
        "image": "x",
        "env": {
            "PREFECT_UV_GROUPS": "ml",
            "PREFECT_UV_CACHE_DAYS": "3",
            "UV_NO_BUILD": "1",
            "UV_INDEX_COMPANY_PASSWORD": "p4ssw0rd",
            "UV_DEFAULT_INDEX": "https://me:p4ssw0rd@index.invalid/simple",
            "API_KEY": "p4ssw0rd",
            "PREFECT_UV_LOCK": None,
        },
    }
    assert build_environment(job, {"PREFECT_UV_GROUPS": "etl"}) == {"PREFECT_UV_GROUPS": "etl", "UV_NO_BUILD": "1"}
    for wrong in ({"UV_INDEX_X_TOKEN": "t"}, {"UV_INDEX": "https://me:pw@x/"}, {"X": 1}):
        with pytest.raises(DeployError):
            build_environment(None, wrong)  # type: ignore[arg-type]


def test_names_of_images() -> None:
    """A name with a registry is pushed; one with a tag is refused, because the contents decide it."""
    named = ["localhost/a", "registry.example.com/team/etl", "127.0.0.1:5000/etl", "etl", "team/etl"]
    assert [names_registry(name) for name in named] == [True, True, True, False, False]
    assert FoundImage("r/etl", "inputs-1", "sha256:1").reference == "r/etl@sha256:1"
    assert FoundImage("etl", "inputs-1").reference == "etl:inputs-1"
    with pytest.raises(DeployError, match="has a tag or a digest"):
        ImageBuilder("r.example.com:5000/etl:1.0", ask_registry=True, say=print)


def test_several_platforms(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """buildx gets platforms, tags and the context; no value of a secret or of an argument is on its command line.

    The client is a stand-in that notes how it was called: no buildx can be had here.
    """
    client = tmp_path / "bin" / "docker"
    client.parent.mkdir()
    notes = tmp_path / "notes"
    client.write_text(
        "#!/bin/sh\n"
        f'[ "$2" = version ] && exit; echo "$@" > {notes}; env | grep ^HTTPS_PROXY >> {notes}; tar -t >> {notes}\n'
        'while [ "$1" != --metadata-file ]; do shift; done\n'
        """echo '{"containerimage.digest": "sha256:1234"}' > "$2"\n"""
    )
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")
    monkeypatch.setenv(LOGIN, "s3cr3t-of-a-build")
    build = build_of(
        project, platforms=["linux/amd64", "linux/arm64"], secrets=[LOGIN], build_args={"HTTPS_PROXY": "http://p:1"}
    )
    found = BuildKitClient.find(print)
    assert found
    assert found.has_buildx
    assert found.build_and_push(build, "r.example.com/etl:inputs-1") == "sha256:1234"
    command, proxy, *names = notes.read_text().splitlines()
    assert command.startswith("buildx build --platform linux/amd64,linux/arm64 --push --metadata-file ")
    assert (
        "--tag r.example.com/etl:inputs-1 --progress=plain --build-arg HTTPS_PROXY --secret id=UV_INDEX_A_PASSWORD,src="
        in command
    )
    assert "s3cr3t" not in notes.read_text()
    assert "http://p:1" not in command
    assert (proxy, names[0]) == ("HTTPS_PROXY=http://p:1", "Dockerfile")


def test_package_is_built(tmp_path: Path) -> None:
    """The wheel has every module, and nothing but them."""
    package = ROOT / "deploy" / "steps"
    command = ["uv", "build", "--quiet", "--wheel", "--offline", "--out-dir", str(tmp_path), str(package)]
    subprocess.run(command, check=True, timeout=60)
    (wheel,) = tmp_path.glob("prefect_uv_deploy-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("prefect_uv_deploy/") and name[-1] != "/"}
    assert packed == {f"prefect_uv_deploy/{path.name}" for path in (package / "src" / "prefect_uv_deploy").glob("*.py")}
