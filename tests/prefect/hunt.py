"""Look for secrets in everything that a container shows and leaves behind."""

from __future__ import annotations

import base64
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from uuid import UUID

from docker.models.containers import Container

from tests.stack import CacheVolume, Run, Stack
from tests.unit.spellings import SPELLINGS, spelled

SAMPLE = 0.05
SEARCH = r"""
printf '%s\n' "$@" > /tmp/needles
search='grep --files-with-matches --text --fixed-strings --file=/tmp/needles -- "$@"; test $? -le 1'
find /cache -type f -printf '%i %p\0' | sort --zero-terminated --unique --numeric-sort --key=1,1 \
    | cut --zero-terminated --delimiter=' ' --fields=2- | LC_ALL=C xargs --null sh -c "$search" sh
"""
"""grep exits with 1 if it has found nothing, and with more if it could not read a file, which fails."""
MODIFIED, ADDED = 0, 1
"""The kinds of change in Docker's answer."""


@dataclass(frozen=True)
class Planted:
    """The secrets of one run, in every form in which a program may write them.

    Attributes:
        values: each secret, as `user:secret` or `secret:` if HTTP sends it so.
    """

    values: tuple[str, ...]

    @property
    def needles(self) -> list[bytes]:
        """The secrets as programs write them, and encoded for HTTP Basic authentication."""
        secrets = [value.rstrip(":").partition(":")[2] or value.rstrip(":") for value in self.values]
        forms = [spelled(text, name).strip("'\"").encode() for text in secrets for name in SPELLINGS]
        encoded = [base64.b64encode(value.encode()).rstrip(b"=") for value in self.values]
        return list(dict.fromkeys([*forms, *encoded]))

    def found_in(self, content: bytes) -> list[str]:
        """The secrets that appear in some content."""
        return [needle.decode() for needle in self.needles if needle in content]


def in_files(container: Container, planted: Planted) -> dict[str, list[str]]:
    """The files of a container that have a secret in them; the image's own are older than the secrets."""
    container.reload()
    mounts = tuple(mount["Destination"] for mount in container.attrs["Mounts"])
    found = {}
    for path in _changed(container):
        stream, _ = container.get_archive(str(path))
        for name, content in _files(stream):
            place = str(path.parent / name)
            if not place.startswith(mounts):
                found[place] = planted.found_in(content)
    return {name: secrets for name, secrets in found.items() if secrets}


def _changed(container: Container) -> list[PurePosixPath]:
    """What the container added to its image: new directories as a whole, new and changed files."""
    kinds = {PurePosixPath(str(change["Path"])): change["Kind"] for change in container.diff()}
    holding = {path.parent for path in kinds}
    new = [path for path, kind in kinds.items() if kind == ADDED and kinds.get(path.parent) != ADDED]
    return new + [path for path, kind in kinds.items() if kind == MODIFIED and path not in holding]


def _files(stream: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryFile() as spool:
        spool.writelines(stream)
        spool.seek(0)
        with tarfile.open(fileobj=spool) as archive:
            for member in archive:
                if member.isreg() and (file := archive.extractfile(member)):
                    yield member.name, file.read()


def in_volume(cache: CacheVolume, planted: Planted) -> list[str]:
    """The files of the cache volume that contain a secret, each under one of its names: most have many hard links."""
    needles = [needle.decode() for needle in planted.needles]
    return cache.run("bash", "-euo", "pipefail", "-c", SEARCH, "bash", *needles).splitlines()


@contextmanager
def process_lists(container: Container) -> Iterator[set[str]]:
    """Collect the command lines in the container, sampled twenty times a second.

    Read from this machine's /proc: the engine runs `ps` to answer, which takes twice as much of the processor.
    """
    seen: set[str] = set()
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE):
            seen.update(_command_lines(str(container.id)))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield seen
    finally:
        over.set()
        sampler.join()


def _command_lines(container: str) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if container in (process / "cgroup").read_text():
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


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
