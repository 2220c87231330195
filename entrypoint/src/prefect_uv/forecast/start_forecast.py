"""What a start would do with a project or a deployment, found out by doing everything of it that changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prefect_uv.commands.doctor import api_status
from prefect_uv.deployments.deployed_sessions import named_session
from prefect_uv.environments.policy.policy import Policy
from prefect_uv.environments.policy.policy_check import PolicyCheck
from prefect_uv.environments.policy.verdict import stored_verdict
from prefect_uv.environments.preview import EnvironmentPreview, Preview
from prefect_uv.errors import ApiUnreachableError, PrefectUvError
from prefect_uv.forecast.reachability import asked_indexes, index_answers
from prefect_uv.image_facts import Image
from prefect_uv.preparation import find_flow_project, packages_from_variable
from prefect_uv.project import Project, find_extra_packages
from prefect_uv.pull import Checkout, pull
from prefect_uv.session import Session

HARMLESS_STEPS = {"git_clone", "agit_clone", "set_working_directory", "pip_install_requirements"}
"""The pull steps that run nothing of their own: all others are left out."""


class _CodeUnknownError(Exception):
    """The code is fetched in a way that is left out here; the text says in which."""


@dataclass
class StartForecast:
    """What was found out.

    Attributes:
        facts: for JSON, and for people a line for each.
        error: what would stop the start; None if nothing is known that would.
        unknown: why nothing is known about the project; empty if something is.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    error: PrefectUvError | None = None
    unknown: str = ""

    def look_ahead(self, session: Session) -> None:
        """Find out as much as possible; the first error ends it, as it would end the start."""
        try:
            self._look_ahead(session)
        except PrefectUvError as error:
            self.error = error
        except _CodeUnknownError as reason:
            self.unknown = str(reason)

    def _look_ahead(self, session: Session) -> None:
        session.settings = replace(session.settings, api_retries=min(1, session.settings.api_retries))
        reached, self.facts["api"] = api_status(session.settings)
        if session.options.deployment:
            if session.settings.api_url and not reached:
                raise ApiUnreachableError("The Prefect API does not answer.", self.facts["api"])
            session = named_session(session)
            self.facts["deployment"] = session.options.deployment
            self.facts["entrypoint"] = session.deployment.get("entrypoint")
        checkout = self._checkout(session)
        entrypoint = session.deployment.get("entrypoint")
        project = session.phase("look", find_flow_project, session.settings, session.log, checkout, entrypoint)
        self.facts["project"] = project.name
        self.facts["shape"] = project.shape
        self.facts["found"] = project.describe()
        preview = session.phase("sync", self._preview, session, project, checkout)
        self._describe_environment(preview, Image.read())
        if not preview.hit:
            self.facts["indexes"] = [*index_answers(asked_indexes(project), session.settings)]
        self._look_at_policy(session, preview)

    def _checkout(self, session: Session) -> Checkout:
        """The code: for a deployment, pulled into a directory that is removed at the end."""
        deployment = session.deployment
        if not session.options.deployment:
            return Checkout(Path.cwd(), Path.cwd(), session.settings.flow_environ)
        steps = deployment.get("pull_steps") or []
        harmless = [step for step in steps if _is_harmless(step)]
        self.facts["left_out"] = [name for step in steps if not _is_harmless(step) for name in step]
        if deployment.get("storage_document_id") and not steps:
            message = "a storage block has the code, and only a start reads it"
            raise _CodeUnknownError(message)
        reading = replace(session.settings, cache_readonly=True)
        pulled = {**deployment, "pull_steps": harmless}
        checkout = session.phase("pull", pull, pulled, reading, session.log, session.api, session.scratch())
        if self.facts["left_out"] and not checkout.pulled:
            message = f"{', '.join(self.facts['left_out'])} may fetch the code, and only a start performs it"
            raise _CodeUnknownError(message)
        self.facts["code"] = [*checkout.sources]
        return checkout

    @staticmethod
    def _preview(session: Session, project: Project, checkout: Checkout) -> Preview:
        settings, log = session.settings, session.log
        packages = packages_from_variable(settings, log, session.api)
        extra = find_extra_packages(checkout.directory, project, settings, packages)
        files, requirements = (*extra.files, *checkout.requirements), (*extra.requirements, *checkout.packages)
        extra = replace(extra, files=files, requirements=requirements)
        clone = checkout.clone_with_login if settings.git_login_for_dependencies else None
        disposable = bool(checkout.clones)
        return EnvironmentPreview(settings, log, clone).of(project, extra, disposable=disposable)

    def _look_at_policy(self, session: Session, preview: Preview) -> None:
        """Say what is known of the policy's verdict; one that is not stored yet is left to the start.

        Raises:
            PolicyViolatedError, PolicyUnknownError: the start would be refused.
        """
        policy = Policy.of(session.settings)
        if policy is None:
            return
        verdict = stored_verdict(preview.path, session.settings, session.cache, policy) if preview.path else None
        if verdict is None:
            self.facts["policy"] = f"{session.settings.policy}: the start works out what it says"
            return
        self.facts["policy"] = f"{session.settings.policy}: {verdict.summary or 'nothing is against it'}"
        check = PolicyCheck(policy, session.settings, session.log)
        if check.refuses:
            check.enforce(verdict)

    def _describe_environment(self, preview: Preview, image: Image) -> None:
        contents = preview.contents
        if contents:
            own = " (the image's)" if contents.python == image.python else f" ({contents.python})"
            self.facts["python"] = f"{contents.python_version}{own}"
            self.facts["packages"] = len(contents.packages)
        self.facts["environment"] = "hit" if preview.hit else "miss"
        self.facts["key"] = preview.key or None
        self.facts["why"] = preview.why


def _is_harmless(step: Any) -> bool:
    """Whether a step is one that only fetches code or names a file; a malformed one is left to the pull."""
    names = step if isinstance(step, Mapping) else ()
    return all(str(name).rpartition(".")[2] in HARMLESS_STEPS for name in names)
