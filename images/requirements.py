"""The hash-pinned requirements files, resolved under the pins of `family.toml`."""

from __future__ import annotations

import tempfile

from images.family import ROOT, read
from images.process import run, say

OLDEST_PYTHON = "3.11"
OUTPUTS = {
    "requirements/dev.txt": "requirements/dev.in",
    "requirements/prefect-client.txt": "requirements/prefect-client.in",
    "requirements/uv.txt": "requirements/uv.in",
    "entrypoint/requirements.txt": "entrypoint/pyproject.toml",
}
COMPILE = (
    "uv",
    "pip",
    "compile",
    "--quiet",
    "--upgrade",
    "--universal",
    "--generate-hashes",
    "--no-annotate",
    "--no-config",
    "--custom-compile-command=make lock",
    f"--python-version={OLDEST_PYTHON}",
)


def lock() -> None:
    """Resolve all requirements files again, and write them."""
    pins = "".join(f"{name}{constraint}\n" for name, constraint in read().pins.items())
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write(pins)
        constraints.flush()
        for output, source in OUTPUTS.items():
            say(f"locking {output}")
            files = ["--constraint", constraints.name, "--output-file", str(ROOT / output), str(ROOT / source)]
            run([*COMPILE, *files], timeout=600)
