"""The bundle's file, and what its environment is to have."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from prefect_uv.bundles.bundle_command import BundleCommand
from prefect_uv.bundles.bundle_file import bundle_project, read_bundle
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.plan.python_versions import FAMILY
from prefect_uv.errors import BundleInvalidError, PythonMissingError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from tests.unit.conftest import MakeSettings
from tests.unit.foreign import fuzzed, mutated

COMMAND = BundleCommand(("prefect==3.9.1",), "3.13", "prefect.bundles.execute", ("--key", "k"), "k")
BUNDLE: dict[str, object] = {"function": "", "context": "", "flow_run": {}, "dependencies": "", "files_key": None}


def test_environment_has_the_submitters_packages() -> None:
    """They are pinned; the module's own requirement may be among them."""
    project = bundle_project(COMMAND, {"dependencies": "anyio==4.11.0\n\nprefect==3.9.1\n"})
    assert project.requirements == ("anyio==4.11.0", "prefect==3.9.1")
    assert (project.python_request, project.name) == ("3.13", "the bundle's 2 packages")


def test_submitters_versions_take_precedence() -> None:
    """Whatever version the module requires: it is downloaded in an environment of its own."""
    requirements = ("prefect-aws[s3]>=99,<100", "Humanize", "prefect==3.9.1")
    command = BundleCommand(requirements, "3.13", "prefect_aws.bundles.execute", ("--key", "k"), "k")
    project = bundle_project(command, {"dependencies": "prefect_aws==0.7.12\nprefect @ https://host/prefect.whl"})
    assert project.requirements == ("prefect_aws==0.7.12", "prefect @ https://host/prefect.whl", "Humanize")


def test_other_python_is_refused(make_settings: MakeSettings, log: RunLog, tmp_path: Path, this_image: Image) -> None:
    """The error says who asks for it, and which image has it; nothing is downloaded."""
    settings = make_settings(PREFECT_UV_CACHE_DIR=str(tmp_path), UV_PYTHON_DOWNLOADS="never")
    wanted = next(version for version in FAMILY if not this_image.python_version.startswith(f"{version}."))
    project = bundle_project(replace(COMMAND, python=f"{wanted}.99"), {"dependencies": "prefect==3.9.1"})
    with pytest.raises(PythonMissingError) as caught:
        EnvironmentStore(settings, log).environment(project)
    error = caught.value.render()
    assert f"error[python-missing]: the bundle asks for Python {wanted}.99, which is not available here." in error
    assert f"hint: Use the image {FAMILY[wanted]} of the family" in error


def test_option_among_the_dependencies_is_refused() -> None:
    """Prefect refuses it, too."""
    with pytest.raises(BundleInvalidError, match="--index-url"):
        bundle_project(COMMAND, {"dependencies": "--index-url=https://elsewhere.invalid\nanyio"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "not JSON"),
        ("[]", "the file is a list"),
        (json.dumps({**BUNDLE, "function": 1}), "function is a number"),
        (json.dumps({**BUNDLE, "dependencies": []}), "dependencies is a list"),
        (json.dumps({**BUNDLE, "files_key": "files/a.zip"}), "their archive is not there"),
    ],
)
def test_what_is_no_bundle_is_explained(tmp_path: Path, content: str | None, message: str) -> None:
    """The error says what is there instead."""
    path = tmp_path / "bundle"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BundleInvalidError, match=message):
        read_bundle(path)


@fuzzed
@given(document=mutated({**BUNDLE, "dependencies": "anyio==4.11.0\nprefect==3.9.1", "files_key": "files/a.zip"}))
def test_any_file_is_no_fault_of_ours(tmp_path: Path, document: Any) -> None:
    """Whatever is in the place of a bundle, or of one of its values."""
    path = tmp_path / "bundle"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    with suppress(BundleInvalidError):
        bundle_project(COMMAND, read_bundle(path))


def test_bundle_of_a_worker_is_read(tmp_path: Path) -> None:
    """Every field that is needed is there."""
    (tmp_path / "bundle").write_text(json.dumps(BUNDLE))
    assert read_bundle(tmp_path / "bundle") == BUNDLE
