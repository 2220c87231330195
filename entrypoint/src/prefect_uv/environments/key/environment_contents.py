"""The key: what would really be installed, on what. Two projects that select the same share an environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prefect_uv.cache_volume.cache_directory import LAYOUT
from prefect_uv.environments.key.fingerprint import digest_fields

SHOWN_DIFFERENCES = 8


@dataclass(frozen=True)
class Package:
    """A distribution that is installed.

    Attributes:
        version: as uv plans it.
        source: a digest of where its files come from and of their hashes.
    """

    version: str
    source: str


@dataclass(frozen=True)
class Contents:
    """What an environment is made of; nothing else decides its key.

    Attributes:
        uv: the minor version of uv.
        python: path of the interpreter.
        python_version: its version.
        platform: implementation, ABI, machine and libc.
        settings: uv's variables and settings that make another environment of the same packages.
        packages: by normalized name.
    """

    uv: str
    python: str
    python_version: str
    platform: str
    settings: tuple[str, ...]
    packages: Mapping[str, Package]

    @property
    def key(self) -> str:
        """The name of the environment."""
        fields = [LAYOUT, self.uv, self.python, self.python_version, self.platform, str(len(self.settings))]
        fields += self.settings
        for name, package in sorted(self.packages.items()):
            fields += [name, package.version, package.source]
        return digest_fields(fields)

    def as_json(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Contents:
        """From a manifest."""
        packages = {name: Package(**package) for name, package in value["packages"].items()}
        return cls(**{**value, "settings": tuple(value["settings"]), "packages": packages})

    def stands_on_the_same(self, other: Contents) -> bool:
        """Whether only packages differ."""
        return self._ground() == other._ground()

    def changed(self, other: Contents) -> set[str]:
        """The names of the packages that are not the same in both."""
        return {
            name for name in {*self.packages, *other.packages} if self.packages.get(name) != other.packages.get(name)
        }

    def differences(self, old: Contents) -> list[str]:
        """What is different from an older environment, in words."""
        ground = [("uv", old.uv, self.uv), ("Python", old.python_version, self.python_version)]
        if old.python_version == self.python_version:
            ground += [("interpreter", old.python, self.python), ("platform", old.platform, self.platform)]
        grounds = [f"{name} {before} -> {after}" for name, before, after in ground if before != after]
        flags = [f"- {flag}" for flag in old.settings if flag not in self.settings]
        flags += [f"+ {flag}" for flag in self.settings if flag not in old.settings]
        return [*grounds, *flags, *(self._difference(name, old) for name in sorted(self.changed(old)))]

    def _ground(self) -> tuple[object, ...]:
        return self.uv, self.python, self.python_version, self.platform, self.settings

    def _difference(self, name: str, old: Contents) -> str:
        before, after = old.packages.get(name), self.packages.get(name)
        if before is None or after is None:
            return f"+ {name} {after.version}" if after else f"- {name} {before.version if before else ''}"
        if before.version == after.version:
            return f"{name} {after.version} from different files"
        return f"{name} {before.version} -> {after.version}"


def shortened(differences: list[str]) -> str:
    """Differences in one line: the first few by name."""
    more = len(differences) - SHOWN_DIFFERENCES
    return ", ".join(differences[:SHOWN_DIFFERENCES]) + (f" and {more} more" if more > 0 else "")
