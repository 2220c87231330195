"""Facts about the image, written when it is built so that no start has to probe for them."""

from __future__ import annotations

import argparse
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
    """What the image is made of.

    Attributes:
        name: the image's name in the family.
        version: the release of prefect-uv.
        uv: uv's version.
        prefect: the Prefect version that the image was built for.
        python: path of the interpreter for projects, with its minor version in the name.
        python_version: its version, as `3.13.5`.
        platform: implementation, SOABI, machine and libc, for the keys of environments.
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
        """The facts of the image we run in."""
        return cls(**json.loads(path.read_text()))

    @property
    def uv_minor(self) -> str:
        """uv's minor version, as `0.13`: caches of different minors do not mix."""
        return ".".join(self.uv.split(".")[:2])


def interpreter_facts(python: str) -> tuple[str, str]:
    """An interpreter's version and platform, from itself."""
    answer = subprocess.run([python, "-I", "-c", PROBE], check=True, capture_output=True, text=True)
    implementation, version, soabi, system = json.loads(answer.stdout)
    libc = "-".join(platform.libc_ver())
    return version, f"{implementation}-{soabi}-{system}-{platform.machine()}-{libc}"


def probe_image(name: str, python: str, prefect: str) -> Image:
    """Ask the interpreter and uv what they are."""
    version, where = interpreter_facts(python)
    answer = subprocess.run(["uv", "--version"], check=True, capture_output=True, text=True)
    uv = answer.stdout.split()[1]
    return Image(
        name=name,
        version=__version__,
        uv=uv,
        prefect=prefect,
        python=python,
        python_version=version,
        platform=where,
    )


def main() -> None:
    """Write image.json into the entrypoint's environment: `python -I -m prefect_uv.image_facts --name …`."""
    parser = argparse.ArgumentParser(prog="prefect_uv.image_facts")
    for option in ("name", "python", "prefect"):
        parser.add_argument(f"--{option}", required=True)
    options: Mapping[str, str] = vars(parser.parse_args())
    FACTS_FILE.write_text(json.dumps(asdict(probe_image(**options)), indent=2) + "\n")


if __name__ == "__main__":
    main()
