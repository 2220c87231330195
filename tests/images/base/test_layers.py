"""What the layers must not keep of the machine that built them."""

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


def test_no_certificate_of_the_machine(image: Image, run: Runner) -> None:
    """A certificate that the machine trusts and Debian does not is in no layer."""
    debian = run.succeed(["bash", "-c", "cat /usr/share/ca-certificates/mozilla/*.crt"])
    bundle = os.environ.get("SSL_CERT_FILE")
    machine = Path(bundle).read_text(encoding="utf-8") if bundle else ""
    foreign = set(CERTIFICATE.findall(machine)) - set(CERTIFICATE.findall(debian))
    current = run.succeed(["cat", "/etc/ssl/certs/ca-certificates.crt"])
    assert set(CERTIFICATE.findall(current)) == set(CERTIFICATE.findall(debian))
    assert containing(image, [body.encode() for body in foreign]) == []


def test_no_mirror_or_index_of_the_machine(image: Image, run: Runner, family: Family) -> None:
    """The addresses that the builder passed are in no layer, but for those that are Debian's own."""
    debian = run.succeed(["bash", "-c", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true"])
    mirrors = re.findall(r"^URIs: (\S+?)/?$", apt.sources(family.debian), re.MULTILINE)
    indexes = [value for name in secrets.INDEXES if "://" in (value := os.environ.get(name, ""))]
    foreign = [address.encode() for address in [*mirrors, *indexes] if address not in debian]
    assert containing(image, foreign) == []


def test_nothing_is_left_of_the_build(run: Runner) -> None:
    """No package lists, logs, caches or pip."""
    places = "/build /var/lib/apt/lists/* /var/log/apt /var/cache/apt/*.bin /root/.cache /home/prefect/.cache"
    script = f"shopt -s nullglob dotglob; ls -d {places} /run/secrets/* 2>/dev/null; type -P pip pip3; true"
    assert run.succeed(["bash", "-c", script], user="0") in {"", "/var/lib/apt/lists/partial\n"}
