"""What is in an image, as JSON. This runs inside the image, on its own Python, and needs nothing but that."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

ENVIRONMENTS = ("/opt/prefect-uv", "/opt/prefect-client")
DPKG_FORMAT = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
LICENSE_FIELDS = ("License-Expression", "Classifier", "License")
LICENSE = re.compile(r"^License:\s*(\S.*?)\s*$", re.MULTILINE)


def debian_packages() -> list[dict[str, object]]:
    """The installed packages of Debian, as dpkg knows them."""
    listing = subprocess.run(["dpkg-query", "--show", f"--showformat={DPKG_FORMAT}"], check=True, capture_output=True)
    fields = (line.split("\t") for line in listing.stdout.decode().splitlines())
    return [
        {
            "name": name,
            "version": version,
            "architecture": architecture,
            "source": source,
            "source_version": source_version,
            "licenses": debian_licenses(name),
        }
        for name, version, architecture, source, source_version in fields
    ]


def debian_licenses(package: str) -> list[str]:
    """The short names of licenses in a package's copyright file, if it is in the machine-readable format.

    https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/#license-field
    """
    file = Path("/usr/share/doc", package, "copyright")
    return sorted(set(LICENSE.findall(file.read_text(errors="replace")))) if file.is_file() else []


def python_packages(environment: str) -> list[dict[str, object]]:
    """The packages in one of the image's own environments, uv beside them."""
    paths = [str(path) for path in Path(environment).glob("lib/python*/site-packages")]
    found = {str(one.metadata["Name"]): one for one in distributions(path=paths)}
    return [
        {"name": name, "version": one.version, "environment": environment, "licenses": python_licenses(one)}
        for name, one in sorted(found.items())
    ]


def python_licenses(package: Distribution) -> list[str]:
    """The license expression of a package's metadata, or else its classifiers, or else what `License` says."""
    expressions, classifiers, said = (package.metadata.get_all(field) or [] for field in LICENSE_FIELDS)
    classified = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    return expressions or classified or [text.strip().partition("\n")[0] for text in said]


def main() -> None:
    """Print the image's facts and packages."""
    contents = {
        "facts": json.loads(Path("/opt/prefect-uv/image.json").read_text()),
        "debian_release": platform.freedesktop_os_release()["VERSION_ID"],
        "debian": debian_packages(),
        "python": [package for environment in ENVIRONMENTS for package in python_packages(environment)],
    }
    json.dump(contents, sys.stdout)


if __name__ == "__main__":
    main()
