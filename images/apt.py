"""Debian's package manager on this machine: installing what is missing, and where its packages come from."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence

from images.process import ToolError, run, say

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TARGETS = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
ALIASES = ("stable", "oldstable")
ORIGINS = ("Debian", "$(ORIGIN)")  # apt leaves the field as it is while it has no lists


def is_debian() -> bool:
    """Whether this machine runs Debian itself, not a derivative."""
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False


def install(package: str, why: str) -> None:
    """Install a package from this machine's Debian sources, saying so."""
    if not (is_debian() and os.geteuid() == 0):
        message = f"{package} is missing: {why}\nhint: Install {package}, or run this as root on Debian."
        raise ToolError(message)
    say(f"installing Debian's {package}: {why}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], timeout=300, environ=quiet)
    run(["apt-get", "install", "--yes", "--no-install-recommends", package], timeout=900, environ=quiet)


def sources(release: str) -> str:
    """This machine's Debian mirrors as a deb822 sources file for another release; empty when it names none."""
    if not (is_debian() and shutil.which("apt-get")):
        return ""
    own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    names = (own, *ALIASES)
    mirrors = _mirrors(names), _mirrors([f"{name}-security" for name in names])
    suites = f"{release} {release}-updates", f"{release}-security"
    return "\n".join(_stanza(uri, suite) for uri, suite in zip(mirrors, suites, strict=True) if uri)


def _mirrors(releases: Sequence[str]) -> str:
    """The first mirror that serves one of these releases of Debian."""
    for line in run(["apt-get", "indextargets", "--format", TARGETS, "Created-By: Packages"], timeout=60).splitlines():
        uri, release, component, origin = line.split(maxsplit=3)
        ours = origin in ORIGINS and component == "main" and release in releases
        if ours and uri.startswith(("http://", "https://")):
            return uri
    return ""


def _stanza(uri: str, suites: str) -> str:
    return f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n"
