"""The policy: `policy` has its rules, `verdict` what they say about an environment, and a warm start needs no more.

`package_facts` is what is kept in an environment for that, `rules`, `licenses` and `advisories` work a verdict out, and
`policy_check` decides when (ADR 38).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings

if TYPE_CHECKING:
    from prefect_uv.environments.policy.policy_check import PolicyCheck


def policy_check_of(settings: Settings, log: RunLog) -> PolicyCheck | None:
    """The check of the policy; None if it is switched off."""
    if settings.policy == "off":
        return None
    from prefect_uv.environments.policy.policy import Policy  # noqa: PLC0415 (only if a setting asks for it)
    from prefect_uv.environments.policy.policy_check import PolicyCheck  # noqa: PLC0415

    policy = Policy.of(settings)
    return PolicyCheck(policy, settings, log) if policy else None
