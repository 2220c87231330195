"""What pull steps work on and with: values, so that the process's own directory and environment never change."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prefect_uv.log.run_log import RunLog
from prefect_uv.pull.templating import Blocks
from prefect_uv.settings import Settings

StepInputs = dict[str, Any]


@dataclass(frozen=True)
class StepContext:
    """What every step may use: the settings, the log with its mask, and the API's blocks and variables."""

    settings: Settings
    log: RunLog
    blocks: Blocks


@dataclass(frozen=True)
class Checkout:
    """Where the steps have come to.

    Attributes:
        base: the directory that relative paths of the next step start from.
        directory: the working directory of the flow.
        environ: the environment for child processes, the flow included.
        outputs: what the steps gave, by name and by step id.
        requirements: requirements files that steps want installed for the flow.
    """

    base: Path
    directory: Path
    environ: Mapping[str, str]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    requirements: tuple[Path, ...] = ()

    def with_output(self, step_id: str | None, output: Any) -> Checkout:
        """Outputs are known by their names, and by the step's id; a `directory` becomes the flow's."""
        if not isinstance(output, dict):
            return self
        outputs = {**self.outputs, **({step_id: output} if step_id else {}), **output}
        directory = self.base / str(output["directory"]) if output.get("directory") else self.directory
        return replace(self, outputs=outputs, directory=directory)

    def writable(self) -> Checkout:
        """The workspace itself, or in a fresh temporary directory where nothing can be written to its base."""
        try:
            with tempfile.TemporaryFile(dir=self.base):
                return self
        except OSError:
            base = Path(tempfile.mkdtemp(prefix="prefect-uv-"))
            return replace(self, base=base, directory=base)
