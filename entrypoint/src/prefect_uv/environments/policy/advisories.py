"""What is known about packages as malware or vulnerable: `uv audit` is asked about a lockfile that names only them.

uv 0.13.9: audits lockfiles and no environments. It also asks the index of each locked package for its status, so the
lockfile here has a directory as its index. The command and its JSON are in preview.
https://docs.astral.sh/uv/reference/cli/#uv-audit
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect_uv.environments.policy.policy import Policy
from prefect_uv.environments.policy.verdict import Violation
from prefect_uv.environments.uv.uv_command import IGNORED_VARIABLES, UV
from prefect_uv.processes.subprocesses import run_command
from prefect_uv.settings import Settings

PREVIEW = ("--preview-features", "audit-command,json-output")
FOUND = 1
MALWARE = "MAL-"
AUDIT_SECONDS = 60.0
ROOT_NAME = "prefect-uv-audit"
HEAD = 'requires-python = ">=3.8"\n'


class AuditError(Exception):
    """The advisories could not be asked for; the text says why."""


def ask_advisories(
    policy: Policy, versions: Mapping[str, str], settings: Settings, seconds: float | None = None
) -> tuple[Violation, ...]:
    """Ask what is known about packages.

    Args:
        policy: with what counts.
        versions: the packages by name; one without a version is not asked about.
        settings: with the variables for uv.
        seconds: how long to wait for an answer; AUDIT_SECONDS by default.

    Raises:
        AuditError: there was no answer.
    """
    if settings.offline:
        message = "PREFECT_UV_OFFLINE is set"
        raise AuditError(message)
    asked = {name: version for name, version in sorted(versions.items()) if version}
    with tempfile.TemporaryDirectory(prefix="prefect-uv-audit-") as private:
        directory = Path(private)
        (directory / "pyproject.toml").write_text(
            f'[project]\nname = "{ROOT_NAME}"\nversion = "0"\n{HEAD}dependencies = {[*asked]}\n'
        )
        (directory / "uv.lock").write_text(_lock(asked))
        report = _run(policy, directory, settings, seconds or AUDIT_SECONDS)
    try:
        return tuple(filter(None, (_violation(policy, item) for item in json.loads(report)["vulnerabilities"])))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise AuditError(f"uv's report has another form: {error!r}") from None


def _run(policy: Policy, directory: Path, settings: Settings, seconds: float) -> str:
    environ = {name: value for name, value in settings.environ.items() if name not in IGNORED_VARIABLES}
    service = ("--service-url", policy.service) if policy.service else ()
    words = ("audit", "--frozen", "--no-config", "--no-cache", *PREVIEW, "--output-format", "json", *service)
    try:
        finished = run_command([*UV, *words], env=environ, cwd=directory, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise AuditError(f"no answer within {seconds:.0f} s") from None
    if finished.exit_code not in {0, FOUND} or not finished.stdout:
        lines = [line.strip().removeprefix("cause: ") for line in finished.stderr.splitlines() if line.strip()]
        raise AuditError(": ".join(line for line in lines if not line.startswith("warning:")) or "uv audit failed")
    return finished.stdout


def _lock(versions: Mapping[str, str]) -> str:
    dependencies = ", ".join(f'{{ name = "{name}" }}' for name in versions)
    root = f'name = "{ROOT_NAME}"\nversion = "0"\nsource = {{ virtual = "." }}\ndependencies = [{dependencies}]\n'
    packages = [
        f'name = "{name}"\nversion = "{version}"\nsource = {{ registry = "none" }}\n'
        for name, version in versions.items()
    ]
    return "\n[[package]]\n".join([f"version = 1\nrevision = 3\n{HEAD}", root, *packages])


def _violation(policy: Policy, item: Mapping[str, Any]) -> Violation | None:
    """An advisory; None if the policy does not count it. uv joins those that are about the same, as aliases."""
    names = [str(item["id"]), *map(str, item["aliases"])]
    malware = [name for name in names if name.startswith(MALWARE)]
    if not set(names).isdisjoint(policy.accepted) or (policy.audit == "malware" and not malware):
        return None
    package, version = str(item["dependency"]["name"]), str(item["dependency"]["version"])
    names = [*dict.fromkeys([*malware, *names])]
    other = f" ({', '.join(names[1:])})" if names[1:] else ""
    fixed = f", fixed in {', '.join(map(str, item['fix_versions']))}" if item.get("fix_versions") else ""
    what = "is malware" if malware else "is vulnerable"
    summary = " ".join(str(item.get("summary") or "").split())
    return Violation(
        "malware" if malware else "vulnerability",
        package,
        version,
        f"{what}: {names[0]}{other}{f', {summary}' if summary else ''}{fixed}",
    )
