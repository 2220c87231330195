"""How far a uv command is, by the lines that it writes to stderr while it works.

uv 0.13.8, without a terminal: `Downloading NAME (SIZE)` for more than a megabyte, `Building NAME`, `Updating URL (REV)`
for git, each followed by a line when it is done; then `Prepared N packages in SECONDS`.
https://github.com/astral-sh/uv/blob/0.13.8/crates/uv/src/commands/reporters.rs
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.streamed_command import run_streamed
from prefect_uv.processes.subprocesses import CompletedCommand

BEGINS = re.compile(r" *(Downloading|Building|Updating) (\S+?)(?:\.\.\.)?(?: .*?)??(?: \(([\d.]+)([KMG]iB)\))?")
ENDS = re.compile(r" *(Downloaded|Built|Updated) (\S+)(?: .*)?")
BEGINNINGS = {"Downloaded": "Downloading", "Built": "Building", "Updated": "Updating"}
MEGABYTES = {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}
SHOWN = 3


def run_with_progress(
    log: RunLog, command: Sequence[str], words: Sequence[str], environ: Mapping[str, str], cwd: Path | None
) -> CompletedCommand:
    """Run a uv command, and log how far it is if it takes long.

    Args:
        log: gets the command as a detail, too.
        command: uv with all of its options.
        words: the subcommand, and what follows it.
        environ: the variables.
        cwd: the working directory; ours by default.
    """
    line = shlex.join(command)
    log.detail(line)
    progress = UvProgress()
    subcommand = " ".join(takewhile(lambda word: not word.startswith("-"), words))
    with logging_progress(log, f"running `uv {subcommand}`", progress.describe):
        finished = run_streamed(command, env=environ, cwd=cwd, line=progress.read)
    return replace(finished, command=line)


class UvProgress:
    """Reads a uv command's lines, from any thread, and says what it is doing."""

    def __init__(self) -> None:
        self._going: dict[tuple[str, str], float] = {}
        self._downloads: list[float] = []
        self._downloaded: list[float] = []
        self._prepared = ""

    def read(self, line: str) -> None:
        """Read a line."""
        if begun := BEGINS.fullmatch(line):
            size = float(begun[3]) * MEGABYTES[begun[4]] if begun[3] else 0.0
            self._going[begun[1], begun[2]] = size
            if begun[1] == "Downloading":
                self._downloads.append(size)
        elif ended := ENDS.fullmatch(line):
            size = self._going.pop((BEGINNINGS[ended[1]], ended[2]), 0.0)
            if ended[1] == "Downloaded":
                self._downloaded.append(size)
        elif line.startswith("Prepared "):
            self._prepared = line.partition(" in ")[0].replace("Prepared", "prepared")

    def describe(self) -> str:
        """What is being built and downloaded, and how much of how much was downloaded; empty if nothing is known."""
        going = dict(self._going)
        largest = sorted(going, key=lambda key: -going[key])
        parts = [self._list(verb, [name for kind, name in largest if kind == verb]) for verb in BEGINNINGS.values()]
        if self._downloads:
            done, every = self._downloaded, self._downloads
            parts.append(f"{len(done)} of {len(every)} downloads done ({sum(done):.0f} of {sum(every):.0f} MiB)")
        return "; ".join(filter(None, [*parts, self._prepared]))

    @staticmethod
    def _list(verb: str, names: list[str]) -> str:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"{verb.lower()} {', '.join(names[:SHOWN])}{more}" if names else ""
