"""Facts about the image, written to a file when the image is built, so that no start has to find them out."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from prefect_uv import __version__

FACTS_FILE = Path(sys.prefix) / "image.json"
PROBE = (
    "import json, platform, sys, sysconfig; print(json.dumps([platform.python_implementation(),"
    " platform.python_version(), sysconfig.get_config_var('SOABI') or '', sys.platform]))"
)


@dataclass(frozen=True)
class Image:
    """The versions in the image, and the interpreter for projects.

    Attributes:
        name: the image's name in the family, such as `py313`.
        version: the release of prefect-uv.
        uv: the version of uv.
        prefect: the version of Prefect that the image was built for.
        python: the path of the interpreter for projects, with its minor version in the name.
        python_version: its version, such as `3.13.5`.
        platform: its implementation, SOABI, system, machine and libc; part of the keys of environments.
    """

    name: str
    version: str
    uv: str
    prefect: str
    python: str
    python_version: str
    platform: str

    @classmethod
    def read(cls, path: Path = FACTS_FILE) -> Image:
        """Read the facts of the image that we run in."""
        return cls(**json.loads(path.read_text()))

    @property
    def uv_minor(self) -> str:
        """uv's minor version, such as `0.13`; each gets its own cache directory.

        This is our choice, since uv's versions may share one: https://docs.astral.sh/uv/concepts/cache/#cache-versioning
        """
        return ".".join(self.uv.split(".")[:2])


def interpreter_facts(python: str, environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Run an interpreter, in our environment or another, to get its version (`3.13.5`) and platform (see `Image`)."""
    probe = subprocess.run([python, "-I", "-c", PROBE], check=True, capture_output=True, text=True, env=environ)
    implementation, version, soabi, system = json.loads(probe.stdout)
    libc = "-".join(platform.libc_ver())
    return version, f"{implementation}-{soabi}-{system}-{platform.machine()}-{libc}"


def probe_image(name: str, python: str, prefect: str) -> Image:
    """Collect the facts from this interpreter and the uv on PATH."""
    python_version, python_platform = interpreter_facts(python)
    uv = subprocess.run(["uv", "--version"], check=True, capture_output=True, text=True)
    return Image(
        name=name,
        version=__version__,
        uv=uv.stdout.split()[1],
        prefect=prefect,
        python=python,
        python_version=python_version,
        platform=python_platform,
    )


def write_image_facts() -> None:
    """Write image.json into the entrypoint's environment: `python -I -m prefect_uv.image_facts --name …`."""
    import argparse  # noqa: PLC0415 (a start reads the facts, and writes none)

    parser = argparse.ArgumentParser(prog="prefect_uv.image_facts")
    for option in ("name", "python", "prefect"):
        parser.add_argument(f"--{option}", required=True)
    options: Mapping[str, str] = vars(parser.parse_args())
    FACTS_FILE.write_text(json.dumps(asdict(probe_image(**options)), indent=2) + "\n")


if __name__ == "__main__":
    write_image_facts()
