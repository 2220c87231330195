"""This machine's apt: it installs missing packages, and knows which Debian mirror to use."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence

from images.process import ToolError, run, say

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TARGET_FORMAT = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
ALIASES = ("stable", "oldstable")
ORIGINS = ("Debian", "$(ORIGIN)")  # apt leaves the placeholder in place until it has package lists


def is_debian() -> bool:
    """Whether this machine runs Debian itself, not a derivative."""
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False


def install(package: str, reason: str) -> None:
    """Install a package from this machine's Debian mirror, and say so.

    Raises:
        ToolError: this is not Debian, the user is not root, or apt failed.
    """
    if not (is_debian() and os.geteuid() == 0):
        message = f"{package} is missing: {reason}\nhint: Install {package}, or run this as root on Debian."
        raise ToolError(message)
    say(f"installing Debian's {package}: {reason}")
    noninteractive = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], timeout=300, environ=noninteractive)
    run(["apt-get", "install", "--yes", "--no-install-recommends", package], timeout=900, environ=noninteractive)


def sources(release: str) -> str:
    """This machine's Debian mirrors as a deb822 sources file for another release, empty if it has none.

    If this machine's apt accepts a mirror that is no longer updated, such as a snapshot, the file does as well.
    """
    if not (is_debian() and shutil.which("apt-get")):
        return ""
    installed = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    names = (installed, *ALIASES)
    mirrors = _mirror(names), _mirror([f"{name}-security" for name in names])
    suites = f"{release} {release}-updates", f"{release}-security"
    frozen = 'Acquire::Check-Valid-Until "false"' in run(["apt-config", "dump"], timeout=60)
    return "\n".join(_stanza(uri, suite, frozen=frozen) for uri, suite in zip(mirrors, suites, strict=True) if uri)


def _mirror(releases: Sequence[str]) -> str:
    """The first mirror that serves one of these releases of Debian, empty if there is none.

    apt: https://manpages.debian.org/trixie/apt/apt-get.8.en.html#indextargets
    """
    command = ["apt-get", "indextargets", "--format", TARGET_FORMAT, "Created-By: Packages"]
    for line in run(command, timeout=60).splitlines():
        uri, release, component, origin = line.split(maxsplit=3)
        is_debians = origin in ORIGINS and component == "main" and release in releases
        if is_debians and uri.startswith(("http://", "https://")):
            return uri
    return ""


def _stanza(uri: str, suites: str, *, frozen: bool) -> str:
    stanza = f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n"
    return stanza + ("Check-Valid-Until: no\n" if frozen else "")
