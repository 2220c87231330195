"""Commands that export and import environments, as they run in a container."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.commands.export_command import export
from prefect_uv.commands.import_command import import_environment
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.images import layer_groups
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.option_parser import parse_options
from prefect_uv.session import Session
from tests.unit.conftest import MakeSettings
from tests.unit.etl import Etl, sync


@dataclass(frozen=True)
class ImageCommands:
    """Runs the commands in the project's directory, with a cache volume of the test's.

    Attributes:
        etl: the project.
        folder: for directories in the OCI layout.
        cache: the cache volume.
        capture: reads what was printed.
    """

    etl: Etl
    folder: Path
    cache: Path
    capture: pytest.CaptureFixture[str]
    log: RunLog
    make_settings: MakeSettings
    make_store: Callable[..., EnvironmentStore]
    output: list[str] = field(default_factory=list)

    def export(self, *words: str, **variables: str) -> str:
        """Run `prefect-uv export`, and return the name that it prints."""
        return self._run(export, ["export", *words], variables)

    def take(self, *words: str, **variables: str) -> str:
        """Run `prefect-uv import`, and return the key that it prints."""
        return self._run(import_environment, ["import", *words], variables)

    def start(self, **variables: str) -> Environment:
        """The environment that a start gets."""
        return sync(self.make_store(**variables), self.etl)

    @property
    def layout(self) -> str:
        """A directory as the name of an image."""
        return f"oci:{self.folder / 'layout'}"

    def printed(self) -> str:
        """What the last command has printed: the log and the result."""
        return self.output[-1]

    def _run(self, command: Callable[[Session], int], words: list[str], variables: dict[str, str]) -> str:
        options = parse_options(words)
        given = {"PREFECT_UV_CACHE_DIR": str(self.cache), **variables, **options.variables}
        self.capture.readouterr()
        settings = self.make_settings(given)
        self.log.verbose = settings.verbose
        with contextlib.chdir(self.etl.directory):
            assert command(Session(settings, self.log, options)) == 0
        out, err = self.capture.readouterr()
        self.output.append(out + err)
        return out.strip()


@pytest.fixture
def commands(  # noqa: PLR0913, PLR0917 (fixtures)
    etl: Etl,
    tmp_path: Path,
    cache: Path,
    capfd: pytest.CaptureFixture[str],
    log: RunLog,
    make_settings: MakeSettings,
    make_store: Callable[..., EnvironmentStore],
    monkeypatch: pytest.MonkeyPatch,
) -> ImageCommands:
    """The commands in a container of this machine; the made-up Prefect is large enough for a layer of its own."""
    monkeypatch.setattr(layer_groups, "LARGE_BYTES", 1000)
    return ImageCommands(etl, tmp_path, cache, capfd, log, make_settings, make_store)


def blob_path(image: str, digest: str = "") -> Path:
    """The file of a blob of an image in a directory; by default that of its manifest."""
    directory, _, own = image.removeprefix("oci:").partition("@")
    return Path(directory) / "blobs" / (digest or own).replace(":", "/")


def layers(image: str) -> dict[str, str]:
    """The digests of an image's layers in a directory, by name."""
    document: dict[str, Any] = json.loads(blob_path(image).read_bytes())
    return {layer["annotations"]["prefect-uv.layer"]: layer["digest"] for layer in document["layers"]}
