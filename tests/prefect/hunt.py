"""Looking for secrets in everything that a container shows and leaves."""

from __future__ import annotations

import base64
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import cast

from docker.errors import APIError
from docker.models.containers import Container

from tests.stack import CacheVolume

SAMPLE = 0.05


@dataclass(frozen=True)
class Planted:
    """The secrets of one run, in every form in which they might be found.

    Attributes:
        values: each secret, as `user:secret` or `secret:` where HTTP has it so.
    """

    values: tuple[str, ...]

    @property
    def needles(self) -> list[bytes]:
        """The secrets themselves and what HTTP's Basic authentication makes of them."""
        secrets = [value.rstrip(":").rpartition(":")[2].encode() for value in self.values]
        return [*secrets, *(base64.b64encode(value.encode()).rstrip(b"=") for value in self.values)]

    def found_in(self, content: bytes) -> list[str]:
        """The secrets that are in this content."""
        return [needle.decode() for needle in self.needles if needle in content]


def in_files(container: Container, planted: Planted) -> dict[str, list[str]]:
    """The files of a container's root file system that have a secret in them."""
    with tempfile.TemporaryFile() as spool:
        spool.writelines(cast("Iterator[bytes]", container.export()))
        spool.seek(0)
        with tarfile.open(fileobj=spool) as archive:
            contents = ((member.name, archive.extractfile(member)) for member in archive if member.isreg())
            found = {name: planted.found_in(file.read()) for name, file in contents if file is not None}
    return {name: secrets for name, secrets in found.items() if secrets}


def in_volume(cache: CacheVolume, planted: Planted) -> list[str]:
    """The files of the cache volume that have a secret in them."""
    patterns = [argument for needle in planted.needles for argument in ("-e", needle.decode())]
    script = 'grep --recursive --files-with-matches --text --fixed-strings "$@" /cache; test $? -le 1'
    return cache.run("sh", "-c", script, "sh", *patterns).splitlines()


@contextmanager
def process_lists(container: Container) -> Iterator[set[str]]:
    """Every command line seen in the container, sampled twenty times a second."""
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
