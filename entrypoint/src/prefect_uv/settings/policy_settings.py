"""Settings for the policy: what an environment must be like before a flow runs in it."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_uv.settings.declaration import setting
from prefect_uv.settings.parsers import addresses, boolean, choice, names, public_url, words


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """The rules, and what happens if an environment violates one; usually set in the work pool or the image."""

    policy: str = setting(
        "PREFECT_UV_POLICY",
        choice("off", "warn", "refuse"),
        "off",
        "What to do if the environment violates a rule of the policy: `warn` in the log, or `refuse` to run.",
    )
    policy_indexes: tuple[str, ...] = setting(
        "PREFECT_UV_POLICY_INDEXES",
        addresses,
        (),
        "Addresses below which the packages' indexes, files and repositories must be, separated by spaces;"
        " `file:///path` for directories.",
    )
    policy_hashes: bool = setting(
        "PREFECT_UV_POLICY_HASHES",
        boolean,
        False,
        "Every package must be pinned by a hash in a file of the project, or by the commit of a repository.",
    )
    policy_wheels: bool = setting(
        "PREFECT_UV_POLICY_WHEELS",
        boolean,
        False,
        "No package may be built from source; with `refuse`, uv builds none.",
    )
    policy_licenses: tuple[str, ...] = setting(
        "PREFECT_UV_POLICY_LICENSES",
        words,
        (),
        "Allowed licenses, separated by spaces: SPDX identifiers, or patterns such as `LGPL-*`; a license with spaces"
        " in quotes.",
    )
    policy_audit: str = setting(
        "PREFECT_UV_POLICY_AUDIT",
        choice("off", "malware", "vulnerabilities"),
        "off",
        "What no package may be known for: `malware`, or any of the `vulnerabilities` that `uv audit` finds, malware"
        " included; asked once a day while flows run.",
    )
    policy_accepted: tuple[str, ...] = setting(
        "PREFECT_UV_POLICY_ACCEPTED", names, (), "Advisories that are accepted, by one of their identifiers."
    )
    policy_exempt: tuple[str, ...] = setting(
        "PREFECT_UV_POLICY_EXEMPT",
        names,
        (),
        "Names of packages to which no rule applies but that about malware and vulnerabilities.",
    )
    policy_audit_url: str = setting(
        "PREFECT_UV_POLICY_AUDIT_URL",
        public_url,
        "",
        "Service to ask for advisories, with the API of OSV, without a login; by default uv's own.",
    )
