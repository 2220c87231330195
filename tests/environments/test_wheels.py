"""The wheel directory instead of a package index: an empty volume and no network are enough."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from docker.types import Mount

from tests.environments.conftest import Starts
from tests.pins import PREFECT
from tests.stack import CacheVolume, PackageIndex
from tests.stack.containers import Containers
from tests.stack.process import tool

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

WHEEL_VARIABLES: Mapping[str, str] = {"PREFECT_UV_OFFLINE": "true", "PREFECT_UV_WHEELS": "/wheels"}
IMPORT_TRINKET = ("exec", "--", "python", "-c", "import trinket; print(trinket.says)")


@pytest.fixture
def sealed(containers: Containers, image: str, volume: CacheVolume, tmp_path: Path) -> Starts:
    """A project locked with an index that is gone; its wheels and one more are in a directory."""
    project, wheels = tmp_path / "etl", tmp_path / "wheels"
    for folder in (project, wheels):
        folder.mkdir()
        folder.chmod(0o755)
    with PackageIndex.start("127.0.0.1") as index:
        for name, version, code in (("prefect", PREFECT, ""), ("trinket", "1.0", "says = 'clink'")):
            index.publish(name, version, code)
        (project / "pyproject.toml").write_text(
            '[project]\nname = "etl"\nversion = "1"\nrequires-python = ">=3.11"\n'
            'dependencies = ["prefect", "trinket"]\n'
            f'\n[[tool.uv.index]]\nurl = "{index.url}"\ndefault = true\n'
        )
        subprocess.run([tool("uv"), "lock", "--quiet", "--project", project], check=True, timeout=60)
        index.publish("gadget", "2.0", "")
        for name, content in index.files.items():
            (wheels / name).write_bytes(content)
    return Starts(containers, image, project, volume, {"network_mode": "none"})


def run(starts: Starts, *command: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a start without a network."""
    mount = Mount("/wheels", str(starts.project.parent / "wheels"), type="bind", read_only=True)
    outcome = starts.run(*command, environment={**WHEEL_VARIABLES, **environment}, mounts=[mount])
    return outcome.exit_code, outcome.stdout, outcome.stderr


def test_wheels_without_a_network(sealed: Starts) -> None:
    """The environment is built, found again, and extended by an extra package."""
    code, output, messages = run(sealed, *IMPORT_TRINKET)
    assert (code, output) == (0, "clink\n"), messages
    code, _, messages = run(sealed)
    assert (code, "(hit " in messages) == (0, True), messages
    gadget = ("exec", "--", "python", "-c", "import gadget, trinket; print(gadget.__file__)")
    code, output, messages = run(sealed, *gadget, PREFECT_UV_EXTRA_PACKAGES="gadget==2.0")
    assert (code, output.startswith("/cache/envs/v1/")) == (0, True), messages
    assert len(sealed.environments()) == 2


def test_missing_wheel_is_named(sealed: Starts) -> None:
    """A missing wheel is named before anything is built."""
    (sealed.project.parent / "wheels" / "trinket-1.0-py3-none-any.whl").unlink()
    code, _, messages = run(sealed)
    assert code == 76, messages
    assert "error[offline-missing]: A wheel is missing from /wheels." in messages
    assert "trinket 1.0" in messages
    assert sealed.environments() == []
