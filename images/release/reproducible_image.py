"""An image of Docker's engine as an OCI image whose digest depends on its files and its commit alone.

The engine sets the times of files and of the image itself. Here no file and no step is newer than the commit, so that
two builds of a commit with the same packages have the same digest, whichever engine built them. BuildKit 0.13 does the
same with `rewrite-timestamp=true`, and Debian's Docker 20.10 has no such option:
https://github.com/moby/buildkit/blob/v0.13.0/docs/build-repro.md
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol, cast

from images.process import ToolError
from images.release.oci_layout import CONFIG, LAYER, MANIFEST, Descriptor, Layout

KEPT = ("architecture", "os", "variant")
OF_CONTAINERS = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "StopSignal", "User", "Volumes", "WorkingDir")
"""https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md; the engine has more fields, such as `Image`."""
TIMES = ("atime", "ctime", "mtime")
COMPRESSION_LEVEL = 6


@dataclass(frozen=True)
class _Layer:
    """A layer in the layout, and the digest of its uncompressed form."""

    descriptor: Descriptor
    diff_id: str


class ImageWriter:
    """Writes images of the engine into a layout; layers that several images have are written once."""

    def __init__(self, docker: str, layout: Layout, epoch: int) -> None:
        """`epoch` is the time of the commit in seconds since 1970; nothing in an image is newer."""
        self._docker = docker
        self._layout = layout
        self._epoch = epoch
        self._layers: dict[str, _Layer] = {}

    def write(self, tag: str) -> Descriptor:
        """Write an image, and return the descriptor of its manifest, with its platform.

        Raises:
            ToolError: the engine cannot save it.
        """
        with tempfile.TemporaryFile() as archive:
            self._save(tag, archive)
            with tarfile.open(fileobj=archive) as saved:
                (listed,) = json.load(_opened(saved, "manifest.json"))
                config = json.load(_opened(saved, listed["Config"]))
                diff_ids = config["rootfs"]["diff_ids"]
                names = zip(diff_ids, listed["Layers"], strict=True)
                layers = [self._layer(diff_id, _opened(saved, name)) for diff_id, name in names]
        configuration = self._layout.add_document(self._configuration(config, layers), CONFIG)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": configuration,
            "layers": [layer.descriptor for layer in layers],
        }
        platform = {name: config[name] for name in ("architecture", "os", "variant") if config.get(name)}
        return self._layout.add_document(manifest, MANIFEST, platform=platform)

    def _save(self, tag: str, archive: IO[bytes]) -> None:
        saving = subprocess.run([self._docker, "save", tag], check=False, stdout=archive, stderr=subprocess.PIPE)
        if saving.returncode:
            raise ToolError(f"{tag} could not be saved: {saving.stderr.decode().strip()}")
        archive.seek(0)

    def _layer(self, diff_id: str, content: IO[bytes]) -> _Layer:
        if diff_id not in self._layers:
            self._layers[diff_id] = self._write_layer(content)
        return self._layers[diff_id]

    def _write_layer(self, content: IO[bytes]) -> _Layer:
        with tempfile.NamedTemporaryFile(dir=self._layout.directory, delete=False) as file:
            compressed = _Hashed(file)
            with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, compressed, mtime=0) as packed:
                plain = _Hashed(packed)
                self._rewrite(content, plain)
        descriptor = {"mediaType": LAYER, "digest": compressed.digest, "size": compressed.size}
        Path(file.name).replace(self._layout.path(compressed.digest))
        return _Layer(descriptor, plain.digest)

    def _rewrite(self, content: IO[bytes], target: _Hashed) -> None:
        """Copy a layer's files without newer times and without names of users."""
        with (
            tarfile.open(fileobj=content) as layer,
            tarfile.open(fileobj=cast("IO[bytes]", target), mode="w|", format=tarfile.PAX_FORMAT) as rewritten,
        ):
            for entry in layer:
                entry.mtime = min(int(entry.mtime), self._epoch)
                entry.uname = entry.gname = ""
                entry.pax_headers = {name: value for name, value in entry.pax_headers.items() if name not in TIMES}
                rewritten.addfile(entry, layer.extractfile(entry) if entry.isreg() else None)

    def _configuration(self, config: Mapping[str, Any], layers: list[_Layer]) -> dict[str, Any]:
        created = datetime.fromtimestamp(self._epoch, UTC).isoformat().replace("+00:00", "Z")
        return {
            "created": created,
            **{name: config[name] for name in KEPT if name in config},
            "config": {name: config["config"][name] for name in OF_CONTAINERS if config["config"].get(name)},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [step | {"created": created} for step in config["history"]],
        }


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...

    def flush(self) -> None: ...


class _Hashed:
    """A file that counts and hashes what is written to it."""

    def __init__(self, file: _Writable) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _opened(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise ToolError(f"the saved image has no file {name}")
    return file
