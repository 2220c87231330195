"""An interpreter that the image lacks: uv installs it on the volume, from a mirror on this machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_uv.image_facts import interpreter_facts
from tests.environments.conftest import Starts, locked_project
from tests.pins import PREFECT
from tests.unit.pythons import PYTHON, archive, downloads, served

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

VERSION = interpreter_facts(str(PYTHON))[0]
SHOW_VERSION = ("exec", "--", "python", "-c", "import platform, prefect; print(platform.python_version())")


def test_interpreter_on_the_volume(starts: Starts, tmp_path: Path) -> None:
    """Without downloads it is an error; otherwise it is downloaded once, and then needs no network."""
    project = locked_project(tmp_path / "old", [f"prefect=={PREFECT}"])
    (project / ".python-version").write_text(f"{VERSION}\n")
    old = replace(starts, project=project)
    refused = old.run(environment={"UV_PYTHON_DOWNLOADS": "never"})
    assert refused.exit_code == 75, refused.output
    assert f"error[python-missing]: .python-version asks for Python {VERSION}, which is not available here." in (
        refused.stderr
    )
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    with served(mirror, starts.containers.gateway) as address:
        (mirror / "downloads.json").write_text(json.dumps(downloads(archive(mirror), address, VERSION)))
        cold = old.run(*SHOW_VERSION, environment={"UV_PYTHON_DOWNLOADS_JSON_URL": f"{address}/downloads.json"})
    assert (cold.exit_code, cold.stdout) == (0, f"{VERSION}\n"), cold.output
    assert f"Python {VERSION} is not in the image: downloading it to /cache/python" in cold.stderr
    warm = old.run(*SHOW_VERSION, network_mode="none")
    assert (warm.exit_code, warm.stdout) == (0, f"{VERSION}\n"), warm.output
    assert "is new" not in warm.stderr
