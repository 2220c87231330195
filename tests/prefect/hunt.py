"""Look for secrets in everything that a container shows and leaves behind."""

from __future__ import annotations

import base64
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote
from uuid import UUID

from docker.errors import APIError
from docker.models.containers import Container

from tests.stack import CacheVolume, Run, Stack

SAMPLE = 0.05


@dataclass(frozen=True)
class Planted:
    """The secrets of one run, in every form in which they might appear.

    Attributes:
        values: each secret, as `user:secret` or `secret:` if HTTP sends it so.
    """

    values: tuple[str, ...]

    @property
    def needles(self) -> list[bytes]:
        """The secrets as they are, percent-encoded, and encoded for HTTP Basic authentication."""
        secrets = [value.rstrip(":").rpartition(":")[2] for value in self.values]
        encoded = [base64.b64encode(value.encode()).rstrip(b"=") for value in self.values]
        return list(
            dict.fromkeys([*(form.encode() for text in secrets for form in (text, quote(text, safe=""))), *encoded])
        )

    def found_in(self, content: bytes) -> list[str]:
        """The secrets that appear in some content."""
        return [needle.decode() for needle in self.needles if needle in content]


def in_files(container: Container, planted: Planted) -> dict[str, list[str]]:
    """The files of a container's root file system that contain a secret, with these secrets."""
    with tempfile.TemporaryFile() as spool:
        spool.writelines(cast("Iterator[bytes]", container.export()))
        spool.seek(0)
        with tarfile.open(fileobj=spool) as archive:
            contents = ((member.name, archive.extractfile(member)) for member in archive if member.isreg())
            found = {name: planted.found_in(file.read()) for name, file in contents if file is not None}
    return {name: secrets for name, secrets in found.items() if secrets}


def in_volume(cache: CacheVolume, planted: Planted) -> list[str]:
    """The files of the cache volume that contain a secret."""
    patterns = [argument for needle in planted.needles for argument in ("-e", needle.decode())]
    script = 'grep --recursive --files-with-matches --text --fixed-strings "$@" /cache; test $? -le 1'
    return cache.run("sh", "-c", script, "sh", *patterns).splitlines()


@contextmanager
def process_lists(container: Container) -> Iterator[set[str]]:
    """Collect the command lines in the container, sampled twenty times a second."""
    seen: set[str] = set()
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE):
            with suppress(APIError):
                seen.update(row[-1] for row in container.top(ps_args="-eo pid,args")["Processes"] or ())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield seen
    finally:
        over.set()
        sampler.join()


@dataclass(frozen=True)
class Hunt:
    """A run in which no secret was found.

    Attributes:
        run: the run.
        command_lines: every command line that was seen in its container.
    """

    run: Run
    command_lines: str


def hunt(stack: Stack, flow_run: UUID, container: Container, exchange: Path, planted: Planted) -> Hunt:
    """Complete a run whose flow writes `ready` and waits for `go`, and assert that no secret appears.

    This searches the command lines, the container's files during and after the flow, log, state, output, and the cache
    volume.
    """
    with process_lists(container) as command_lines:
        stack.wait_for_file(exchange / "ready", container)
        assert in_files(container, planted) == {}
        (exchange / "go").touch()
        run = stack.finish(flow_run, container)
    assert run.state.name == "Completed", run.report()
    seen = "\n".join(command_lines)
    assert planted.found_in(seen.encode()) == []
    assert planted.found_in(run.report().encode()) == []
    assert in_files(container, planted) == {}
    assert in_volume(stack.cache, planted) == []
    return Hunt(run, seen)
