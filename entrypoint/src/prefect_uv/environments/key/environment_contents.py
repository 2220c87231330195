"""What an environment is made of, and the key that is its hash: equal contents share one environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prefect_uv.cache_volume.cache_directory import LAYOUT
from prefect_uv.environments.key.fingerprint import digest_fields

SHOWN_DIFFERENCES = 8


@dataclass(frozen=True)
class Package:
    """A distribution in an environment.

    Attributes:
        version: as uv plans it; empty if uv learns it only by building the package.
        source: a digest of where its files come from and of their hashes.
    """

    version: str
    source: str


@dataclass(frozen=True)
class Contents:
    """Everything that decides the key of an environment.

    Attributes:
        uv: the minor version of uv, with which its behaviour may change
            (uv 0.13.8: https://docs.astral.sh/uv/reference/policies/versioning/).
        python: path of the interpreter.
        python_version: its version.
        platform: implementation, ABI, machine and libc.
        settings: uv's variables and settings that change how the same packages are installed.
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
        """The hash of the contents, which names the environment."""
        fields = [LAYOUT, self.uv, self.python, self.python_version, self.platform, str(len(self.settings))]
        fields += self.settings
        for name, package in sorted(self.packages.items()):
            fields += [name, package.version, package.source]
        return digest_fields(fields)

    def as_json(self) -> dict[str, Any]:
        """The form in which a manifest stores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Contents:
        """The inverse of `as_json`."""
        packages = {name: Package(**package) for name, package in value["packages"].items()}
        return cls(**{**value, "settings": tuple(value["settings"]), "packages": packages})

    def differs_only_in_packages(self, other: Contents) -> bool:
        """Whether uv, interpreter, platform and settings are equal."""
        return self._all_but_packages() == other._all_but_packages()

    def changed_packages(self, other: Contents) -> set[str]:
        """The names of the packages that are missing from either side, or differ."""
        return {
            name for name in {*self.packages, *other.packages} if self.packages.get(name) != other.packages.get(name)
        }

    def differences(self, old: Contents) -> list[str]:
        """How these contents differ from older ones, one phrase per difference."""
        facts = [("uv", old.uv, self.uv), ("Python", old.python_version, self.python_version)]
        if old.python_version == self.python_version:
            facts += [("interpreter", old.python, self.python), ("platform", old.platform, self.platform)]
        changes = [f"{name} {before} -> {after}" for name, before, after in facts if before != after]
        flags = [f"- {flag}" for flag in old.settings if flag not in self.settings]
        flags += [f"+ {flag}" for flag in self.settings if flag not in old.settings]
        return [*changes, *flags, *(self._difference(name, old) for name in sorted(self.changed_packages(old)))]

    def _all_but_packages(self) -> tuple[object, ...]:
        return self.uv, self.python, self.python_version, self.platform, self.settings

    def _difference(self, name: str, old: Contents) -> str:
        before, after = old.packages.get(name), self.packages.get(name)
        if before is None or after is None:
            return f"+ {name} {after.version}" if after else f"- {name} {before.version if before else ''}"
        if before.version == after.version:
            return f"{name} {after.version} from different files"
        return f"{name} {before.version} -> {after.version}"


def joined_differences(differences: list[str]) -> str:
    """Differences in one line: the first few, and how many more there are."""
    more = len(differences) - SHOWN_DIFFERENCES
    return ", ".join(differences[:SHOWN_DIFFERENCES]) + (f" and {more} more" if more > 0 else "")
