"""What can go wrong, in words for the one who deploys."""

from __future__ import annotations


class DeployError(Exception):
    """A step cannot be performed; the message says what was found and what to do."""


class BuildFailedError(DeployError):
    """The image could not be built, or its key could not be computed."""


class RegistryError(DeployError):
    """The registry refused a request, or cannot be reached."""


class CodeStoreError(DeployError):
    """An archive of code could not be stored, could not be fetched, or is not the one that was stored."""
