"""Code that an init container has pulled, for the main container of its pod: pull steps are performed once.

The two share a directory. The code is in it, and next to it is a record of what the steps have left, with the run that
they were performed for. It has no credentials of clones: what needs them, the init container has done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from prefect_uv.api.flow_run import FlowRun
from prefect_uv.cache_volume.volume import Volume, trusted_users
from prefect_uv.git_access.clone import Clone
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull.checkout import Checkout
from prefect_uv.settings import Settings
from prefect_uv.settings.environment_secrets import secrets_in
from prefect_uv.shapes import TEXT_OR_NONE, mismatch

CODE, RECORD = "code", "checkout.json"
SHAPE = {
    "run": str,
    "base": str,
    "directory": str,
    "environ": {...: TEXT_OR_NONE},
    "requirements": [str],
    "packages": [str],
    "virtual_environments": [str],
    "clones": [{"directory": str, "url": str}],
    "sources": [str],
}


@dataclass(frozen=True)
class Handover:
    """The directory that the containers of a pod share.

    Attributes:
        volume: the directory.
        run: identifies the run, its attempt, and how its deployment says that the code is pulled.
        environ: the environment before the pull steps.
        log: the log.
    """

    volume: Volume
    run: str
    environ: Mapping[str, str]
    log: RunLog

    @classmethod
    def of(cls, flow_run: FlowRun, deployment: Mapping[str, Any], settings: Settings, log: RunLog) -> Handover:
        """The handover of this run's code in the directory that the settings name."""
        steps = [deployment.get(name) for name in ("pull_steps", "path", "storage_document_id")]
        run = sha256(json.dumps([flow_run.id, flow_run.attempts, steps], sort_keys=True).encode()).hexdigest()
        volume = Volume(settings.handover_dir, trusted_users(settings.handover_dir, settings.cache_trust))
        return cls(volume, run, settings.flow_environ, log)

    def make_base(self) -> Path | None:
        """An empty directory for the code; None, with a warning, if the shared directory cannot be written to."""
        base = self.volume.root / CODE
        try:
            for name in (RECORD, CODE):
                self.volume.delete(self.volume.root / name)
            base.mkdir()
        except OSError as error:
            self.log.warning(f"the code cannot be handed over: {error}")
            return None
        return base

    def give(self, checkout: Checkout) -> Checkout:
        """Write the record, if code was pulled and all of it is in the shared directory; return the checkout."""
        shared = self.volume.root / CODE
        used = [checkout.base, checkout.directory, *checkout.requirements, *checkout.virtual_environments]
        outside = [path for path in used if not path.is_relative_to(shared)]
        if not checkout.pulled or outside:
            if outside and checkout.pulled:
                self.log.info(f"{outside[0]} is not in {shared}, so the main container performs the pull steps again")
            return checkout
        document = {
            "run": self.run,
            "base": str(checkout.base),
            "directory": str(checkout.directory),
            "environ": self._changes(checkout.environ),
            "requirements": [*map(str, checkout.requirements)],
            "packages": [*checkout.packages],
            "virtual_environments": [*map(str, checkout.virtual_environments)],
            "clones": [{"directory": str(clone.directory), "url": clone.url} for clone in checkout.clones],
            "sources": [*checkout.sources],
        }
        unfinished = self.volume.root / f"{RECORD}.unfinished"
        unfinished.unlink(missing_ok=True)
        unfinished.touch(0o600)
        unfinished.write_text(json.dumps(document))
        unfinished.rename(self.volume.root / RECORD)
        return checkout

    def take(self) -> Checkout | None:
        """What was handed over for this run; None, with a line in the log, if there is nothing usable."""
        record = self.volume.root / RECORD
        try:
            document: Any = json.loads(record.read_text()) if not self.volume.distrust(record) else None
        except FileNotFoundError:
            self.log.info(f"no code was handed over in {self.volume.root}: performing the pull steps")
            return None
        except (OSError, ValueError, RecursionError):
            document = None
        if unusable := self._unusable(document):
            self.log.warning(f"what was handed over in {self.volume.root} is not used: {unusable}")
            return None
        return self._checkout(document)

    def _unusable(self, document: Any) -> str:
        """Why a record, or the code that it describes, cannot be used; empty if it can."""
        for name in (RECORD, CODE):
            if distrust := self.volume.distrust(self.volume.root / name):
                return f"{name} {distrust}"
        if mismatch(document, SHAPE):
            return f"{RECORD} is damaged"
        if document["run"] != self.run:
            return "it is of another run, another attempt, or other pull steps"
        directory = Path(document["directory"])
        if not directory.resolve().is_relative_to(self.volume.root.resolve()) or not directory.is_dir():
            return f"{directory} is missing"
        return ""

    def _changes(self, environ: Mapping[str, str]) -> dict[str, str | None]:
        changed = {name: value for name, value in environ.items() if self.environ.get(name) != value}
        return {**changed, **dict.fromkeys(self.environ.keys() - environ.keys())}

    def _checkout(self, document: Mapping[str, Any]) -> Checkout:
        environ = {**self.environ, **document["environ"]}
        changed = {name: value for name, value in document["environ"].items() if value is not None}
        self.log.mask.add(*secrets_in(changed))
        clones = (Clone(Path(clone["directory"]), clone["url"], None) for clone in document["clones"])
        return Checkout(
            base=Path(document["base"]),
            directory=Path(document["directory"]),
            environ={name: value for name, value in environ.items() if value is not None},
            requirements=tuple(map(Path, document["requirements"])),
            packages=tuple(document["packages"]),
            virtual_environments=tuple(map(Path, document["virtual_environments"])),
            clones=tuple(clones),
            sources=(*document["sources"], f"pulled by the init container into {self.volume.root}"),
            pulled=True,
        )
