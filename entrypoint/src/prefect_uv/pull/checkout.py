"""The state that pull steps pass on, as values: the process's own directory and environment never change."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prefect_uv.git_access.clone import Clone
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
    """The directories and the environment after the steps performed so far.

    Attributes:
        base: the directory that relative paths of the next step start from.
        directory: the working directory of the flow.
        environ: the environment for child processes, the flow included.
        outputs: the outputs of all steps, by output name and by step id.
        requirements: requirements files that steps want installed for the flow.
        packages: lines of a requirements file that they want installed, too.
        virtual_environments: those that scripts made.
        clones: what git_clone steps have cloned, in their order.
        sources: where steps got code from, for the log, such as `<url> at <commit> (cloned)`.
        pulled: a step, or a storage block, may have fetched code; without, there is only what the image has.
    """

    base: Path
    directory: Path
    environ: Mapping[str, str]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    requirements: tuple[Path, ...] = ()
    packages: tuple[str, ...] = ()
    virtual_environments: tuple[Path, ...] = ()
    clones: tuple[Clone, ...] = ()
    sources: tuple[str, ...] = ()
    pulled: bool = False

    @property
    def clone_with_login(self) -> Clone | None:
        """The last clone that needed a login."""
        return next((clone for clone in reversed(self.clones) if clone.login), None)

    @property
    def origin(self) -> str:
        """Where the code came from, for the log; else where it is."""
        return f"from {', '.join(self.sources)}" if self.sources else f"in {self.directory}"

    def with_clone(self, clone: Clone, source: str) -> Checkout:
        """Add what a step has cloned, and where it got it from."""
        return replace(self.with_source(source), clones=(*self.clones, clone))

    def with_source(self, source: str) -> Checkout:
        """Add where a step got code from."""
        return replace(self, sources=(*self.sources, source))

    def with_output(self, step_id: str | None, output: Any) -> Checkout:
        """Add a step's output: by name, and by the step's id if it has one.

        The output `directory` becomes the flow's working directory, as in Prefect's loader, which changes to it.
        Prefect 3.8.8: load_flow_from_flow_run, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/flows.py
        """
        if not isinstance(output, dict):
            return self
        outputs = {**self.outputs, **({step_id: output} if step_id else {}), **output}
        directory = self.base / str(output["directory"]) if output.get("directory") else self.directory
        return replace(self, outputs=outputs, directory=directory)

    def writable(self, base: Path | None = None) -> Checkout:
        """This checkout in another base; without one, in a new temporary directory if its own base is not writable."""
        if base:
            return replace(self, base=base, directory=base)
        try:
            with tempfile.TemporaryFile(dir=self.base):
                return self
        except OSError:
            base = Path(tempfile.mkdtemp(prefix="prefect-uv-"))
            return replace(self, base=base, directory=base)
