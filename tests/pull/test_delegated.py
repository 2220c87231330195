"""Steps that Prefect itself runs, in an isolated environment of the store, in order with our own."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from prefect_uv_deploy.steps import push_code
from tests.pull.conftest import Ours, document_ids, fill
from tests.pull.s3 import s3_store
from tests.stack.server import PrefectServer

SHELL = "prefect.deployments.steps.run_shell_script"
REMOTE = "prefect.deployments.steps.pull_from_remote_storage"
BLOCK = "prefect.deployments.steps.pull_with_block"
PULL_CODE = "prefect_uv_deploy.steps.pull_code"
SET = "prefect.deployments.steps.set_working_directory"
SECRET = "s3cr3t-of-a-block"  # noqa: S105 (planted)
OWN_STEPS = '''
import os
import cowsay
from pathlib import Path

def fetch(name, token):
    """Make a folder with code, go there, and leave a variable."""
    print(f"fetching {name} with {token}")
    Path(name).mkdir()
    Path(name, "flow.py").write_text(cowsay.get_output_string("cow", name))
    os.chdir(name)
    os.environ["FETCHED"] = name
    return {"directory": ".", "name": name, "path": Path("x")}

async def later(name):
    return {"later": name + "!"}

def fails(token):
    raise RuntimeError(f"could not use {token}")

def nothing():
    return None
'''
WHOLE = '''def whole():
    """A package that needs all of Prefect, and what is installed for it."""
    from importlib.metadata import distributions
    from prefect_docker.host import DockerHost

    return {"names": sorted(found.name for found in distributions() if found.name.startswith("prefect"))}
'''


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache volume, so that each environment is built only once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def stored(ours: Ours, cache: Path) -> Ours:
    """Our own steps with a cache volume."""
    ours.cache = cache
    return ours


@pytest.fixture
def base(bases: tuple[Path, Path]) -> Path:
    """A directory with a module of the user's own steps."""
    (bases[1] / "own_steps.py").write_text(OWN_STEPS)
    return bases[1]


def test_own_step_with_requires(stored: Ours, base: Path) -> None:
    """A user's step gets its requirements, and its outputs, directory and environment reach later steps."""
    steps: list[Any] = [
        {SHELL: {"id": "shell", "script": "echo etl"}},
        {
            "own_steps.fetch": {
                "requires": "cowsay==6.1",
                "id": "own",
                "name": "{{ shell.stdout }}",
                "token": "{{ prefect.blocks.secret.token }}",
            }
        },
        {SHELL: {"script": "sh -c 'echo $FETCHED {{ own.name }}; pwd'", "stream_output": False}},
    ]
    outcome = stored(steps, base)
    assert outcome.error == ""
    assert outcome.directory == "@/etl"
    assert outcome.outputs["own"] == {"directory": ".", "name": "etl", "path": "x"}
    assert outcome.outputs["stdout"] == "etl etl\n@/etl"
    assert "etl/flow.py" in outcome.tree
    assert "fetching etl with ****" in stored.lines
    assert SECRET not in "\n".join(stored.lines)


def test_environment_is_built_once(stored: Ours, base: Path) -> None:
    """The second time, the environment comes from the store."""
    step = {"own_steps.later": {"requires": ["cowsay==6.1"], "name": "now"}}
    assert stored([step], base).outputs == {"later": "now!"}
    stored.lines.clear()
    assert stored([step], base).outputs == {"later": "now!"}
    assert not [line for line in stored.lines if line.startswith("environment")]


def test_step_that_raises(stored: Ours, base: Path) -> None:
    """The error has the step's exception, without the secrets that the step was given."""
    step = {"own_steps.fails": {"requires": "cowsay==6.1", "token": "{{ prefect.blocks.secret.token }}"}}
    outcome = stored([step], base)
    assert outcome.slug == "pull-step-invalid"
    assert "RuntimeError: could not use ****" in outcome.error


def test_step_without_output(stored: Ours, base: Path) -> None:
    """A step without an output changes nothing."""
    outcome = stored([{"own_steps.nothing": {"requires": "cowsay==6.1"}}, {SET: {"directory": "."}}], base)
    assert outcome.outputs == {"directory": "@"}


def test_step_that_does_not_exist(stored: Ours, base: Path) -> None:
    """The error names a step that does not exist."""
    outcome = stored([{"no_such_module.step": {}}], base)
    assert outcome.slug == "pull-step-invalid"
    assert "no_such_module" in outcome.error


def test_requirement_that_does_not_exist(stored: Ours, base: Path) -> None:
    """A requirement that does not exist is an error before the step runs."""
    outcome = stored([{"own_steps.nothing": {"requires": "no-such-package-of-prefect-uv==1.0"}}], base)
    assert outcome.slug == "package-not-found", outcome.error


def test_package_that_needs_all_of_prefect(stored: Ours, base: Path) -> None:
    """A package that needs all of Prefect gets `prefect` instead of `prefect-client`, with only one build."""
    (base / "whole_steps.py").write_text(WHOLE)
    outcome = stored([{"whole_steps.whole": {"requires": f"prefect-docker=={version('prefect-docker')}"}}], base)
    assert outcome.error == ""
    assert outcome.outputs == {"names": ["prefect", "prefect-docker"]}
    assert len([line for line in stored.lines if " is the first one here for a pull step" in line]) == 1


def test_remote_storage_s3(stored: Ours, base: Path) -> None:
    """An S3-compatible store is read with credentials from a block; s3fs is installed without `requires`."""
    objects = {"flows/flow.py": b"from s3", "flows/etl/deep.py": b"deep", "other/x": b"not this"}
    with s3_store("bucket", SECRET, objects) as endpoint:
        step = {
            REMOTE: {
                "id": "pulled",
                "url": "s3://bucket/flows",
                "key": "{{ prefect.blocks.secret.token }}",
                "secret": "x" * 20,
                "client_kwargs": {"endpoint_url": endpoint, "region_name": "us-east-1"},
            }
        }
        outcome = stored([step, {SET: {"directory": "{{ pulled.directory }}/etl"}}], base)
    assert outcome.error == ""
    assert outcome.directory == "@/bucket/flows/etl"
    assert (base / "bucket" / "flows" / "flow.py").read_text() == "from s3"
    assert (base / "bucket" / "flows" / "etl" / "deep.py").read_text() == "deep"
    assert SECRET not in "\n".join(stored.lines)
    assert any("Pulled code from 's3://bucket/flows'" in line for line in stored.lines)


def test_code_of_an_s3_store(stored: Ours, base: Path, tmp_path: Path) -> None:
    """pull_code lets Prefect's process fetch from S3; the second time, the volume has the archive."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "flow.py").write_text("from s3")
    pushed = push_code(destination=str(tmp_path / "store"), directory=str(tmp_path / "tree"))
    archive = Path(pushed["url"])
    with s3_store("bucket", SECRET, {f"code/{archive.name}": archive.read_bytes()}) as endpoint:
        options = {
            "key": "{{ prefect.blocks.secret.token }}",
            "secret": "x" * 20,
            "client_kwargs": {"endpoint_url": endpoint, "region_name": "us-east-1"},
        }
        inputs = {"url": f"s3://bucket/code/{archive.name}", "sha256": pushed["sha256"], "storage_options": options}
        outcome = stored([{PULL_CODE: inputs}], base)
    directory = f"code-{pushed['sha256'][:12]}"
    assert (outcome.error, outcome.directory) == ("", f"@/{directory}")
    assert (base / directory / "flow.py").read_text() == "from s3"
    assert SECRET not in "\n".join(stored.lines)
    assert stored([{PULL_CODE: inputs}], base).error == "", "the store is gone"


def test_step_of_prefect_aws(stored: Ours, base: Path) -> None:
    """The package of an integration's step is installed without `requires`, with all of Prefect."""
    objects = {"flows/flow.py": b"from s3", "flows/etl/deep.py": b"deep", "other/x": b"not this"}
    with s3_store("bucket", SECRET, objects) as endpoint:
        keys = {"aws_access_key_id": "{{ prefect.blocks.secret.token }}", "aws_secret_access_key": "x" * 20}
        inputs = {
            "bucket": "bucket",
            "folder": "flows",
            "credentials": {**keys, "region_name": "us-east-1"},
            "client_parameters": {"endpoint_url": endpoint},
        }
        outcome = stored([{"prefect_aws.deployments.steps.pull_from_s3": inputs}], base)
    assert outcome.error == ""
    assert (base / "flow.py").read_text() == "from s3"
    assert (base / "etl" / "deep.py").read_text() == "deep"
    assert SECRET not in "\n".join(stored.lines)
    assert any(" is the first one here for a pull step with prefect-aws" in line for line in stored.lines)


def test_block(stored: Ours, base: Path, storage: str) -> None:
    """A storage block is read by name."""
    outcome = stored([{BLOCK: {"block_document_name": "code", "block_type_slug": "local-file-system"}}], base)
    assert outcome.error == ""
    assert (base / outcome.directory.removeprefix("@/") / "flow.py").read_text() == "of the block"
    assert storage


def test_deployment_with_a_storage_block(stored: Ours, base: Path, storage: str) -> None:
    """The code of a deployment with a storage block is brought to the working directory."""
    outcome = stored([], base, storage_document_id=storage, path=None)
    assert outcome.error == ""
    assert outcome.directory == "@"
    assert (base / "flow.py").read_text() == "of the block"


@pytest.fixture(scope="module")
def storage(server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a storage block `code` with one file."""
    folder = tmp_path_factory.mktemp("storage")
    (folder / "flow.py").write_text("of the block")
    fill(server, {("local-file-system", "code"): {"basepath": str(folder)}}, {})
    return document_ids(server)["code"]
