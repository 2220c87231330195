"""Layers keep nothing of the machine that built them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from docker.models.images import Image

from images import apt, secrets
from images.family import Family
from tests.images.containers import Runner
from tests.images.layers import containing

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n(.+?)\n-----END CERTIFICATE-----", re.DOTALL)


def test_no_certificate_mirror_or_index_of_the_machine(image: Image, run: Runner, family: Family) -> None:
    """Certificates and addresses of the building machine are in no layer, except those that Debian has too."""
    certificates = run.succeed(["bash", "-c", "cat /usr/share/ca-certificates/mozilla/*.crt"])
    sources = run.succeed(["bash", "-c", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true"])
    machine = added_certificates(certificates) | {address for address in addresses(family) if address not in sources}
    assert containing(image, [value.encode() for value in machine]) == []


def test_trusted_certificates_are_debians(run: Runner) -> None:
    """The bundle has exactly the certificates of Debian's package."""
    bundle = run.succeed(["cat", "/etc/ssl/certs/ca-certificates.crt"])
    debian = run.succeed(["bash", "-c", "cat /usr/share/ca-certificates/mozilla/*.crt"])
    assert set(CERTIFICATE.findall(bundle)) == set(CERTIFICATE.findall(debian))


def added_certificates(debian: str) -> set[str]:
    """The certificates that this machine trusts and Debian does not."""
    bundle = os.environ.get("SSL_CERT_FILE")
    machine = Path(bundle).read_text(encoding="utf-8") if bundle else ""
    return set(CERTIFICATE.findall(machine)) - set(CERTIFICATE.findall(debian))


def addresses(family: Family) -> list[str]:
    """The Debian mirrors and package indexes that the builder passes to the build."""
    mirrors = re.findall(r"^URIs: (\S+?)/?$", apt.sources(family.debian), re.MULTILINE)
    return [*mirrors, *(value for name in secrets.INDEXES if "://" in (value := os.environ.get(name, "")))]


def test_nothing_is_left_of_the_build(run: Runner) -> None:
    """The image has no package lists, logs, caches or pip; its `pip` is the program's."""
    places = "/build /var/lib/apt/lists/* /var/log/apt /var/cache/apt/*.bin /root/.cache /home/prefect/.cache"
    pip = "find / -xdev -path '*/pip/__main__.py'"
    script = f"shopt -s nullglob dotglob; ls -d {places} /run/secrets/* 2>/dev/null; {pip}"
    assert run.succeed(["bash", "-c", script], user="0") in {"", "/var/lib/apt/lists/partial\n"}
