"""The rules that the settings choose, and the digest that names them."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_uv.environments.key.fingerprint import digest_fields
from prefect_uv.package_names import normalized
from prefect_uv.settings import Settings

RULES_FORMAT = "1"
"""Raised when the same settings mean something else, so that verdicts are worked out again."""
DIGEST_DIGITS = 16


@dataclass(frozen=True)
class Policy:
    """The rules; an empty one allows everything.

    Attributes:
        indexes: the addresses below which packages must come from.
        hashes: every package must be pinned by a hash.
        wheels: no package may be built from source.
        licenses: patterns of the allowed licenses.
        audit: `off`, `malware` or `vulnerabilities`.
        accepted: advisories that do not count.
        exempt: normalized names of packages for which only the audit counts.
        service: the address of the advisories; empty for uv's own.
    """

    indexes: tuple[str, ...] = ()
    hashes: bool = False
    wheels: bool = False
    licenses: tuple[str, ...] = ()
    audit: str = "off"
    accepted: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    service: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Policy | None:
        """The policy of a start; None if it is switched off."""
        if settings.policy == "off":
            return None
        return cls(
            settings.policy_indexes,
            settings.policy_hashes,
            settings.policy_wheels,
            settings.policy_licenses,
            settings.policy_audit,
            settings.policy_accepted,
            tuple(map(normalized, settings.policy_exempt)),
            settings.policy_audit_url,
        )

    @property
    def audits(self) -> bool:
        """Whether advisories are asked for, whose answer changes with time."""
        return self.audit != "off"

    @property
    def digest(self) -> str:
        """A name of the rules. Whether they warn or refuse changes nothing about what is found."""
        lists = [self.indexes, self.licenses, self.accepted, self.exempt]
        fields = [RULES_FORMAT, str(self.hashes), str(self.wheels), self.audit, self.service]
        fields += [field for items in lists for field in (str(len(items)), *sorted(items))]
        return digest_fields(fields)[:DIGEST_DIGITS]
