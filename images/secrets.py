"""What a build needs from this machine but must not leave in a layer: BuildKit secrets, below /run/secrets.

Docker: https://docs.docker.com/build/building/secrets/
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from images import apt

INDEXES = (
    "PIP_EXTRA_INDEX_URL",
    "PIP_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX",
    "UV_INDEX_STRATEGY",
    "UV_INDEX_URL",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
    "UV_PYTHON_INSTALL_MIRROR",
)
PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@contextmanager
def options(release: str) -> Iterator[list[str]]:
    """The options of `docker build` that pass on this machine's certificates, mirrors, indexes and proxies."""
    with TemporaryDirectory(prefix="prefect-uv-secrets-") as directory:
        contents = {"apt": apt.sources(release), "index": index_exports(os.environ)}
        files = {name: _write(Path(directory, name), text) for name, text in contents.items() if text}
        if bundle := os.environ.get("SSL_CERT_FILE"):
            files["ca"] = Path(bundle)
        yield [f"--secret=id={name},src={path}" for name, path in files.items()] + proxy_options(os.environ)


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def index_exports(environ: Mapping[str, str]) -> str:
    """Shell exports of the package indexes; if only one of pip and uv has a default index, the other gets it too."""
    values = {name: environ[name] for name in INDEXES if environ.get(name)}
    default = values.get("UV_DEFAULT_INDEX") or values.get("UV_INDEX_URL") or values.get("PIP_INDEX_URL")
    if default:
        values.setdefault("PIP_INDEX_URL", default.partition("=")[2] if _is_named(default) else default)
        values.setdefault("UV_DEFAULT_INDEX", default)
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(values.items()))


def _is_named(index: str) -> bool:
    """Whether an index has the form `name=URL` (uv 0.13.8: https://docs.astral.sh/uv/concepts/indexes/)."""
    return "=" in index.partition("://")[0]


def proxy_options(environ: Mapping[str, str]) -> list[str]:
    """This machine's proxies as Docker's predefined build arguments, which the image's history does not record.

    Docker: https://docs.docker.com/reference/dockerfile/#predefined-args
    """
    names = [spelling for name in PROXIES for spelling in (name, name.lower()) if environ.get(spelling)]
    return [f"--build-arg={name}" for name in names]
