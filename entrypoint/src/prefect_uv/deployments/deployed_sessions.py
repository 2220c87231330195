"""Sessions that stand for a run of a deployment: with its variables, but without a flow run."""

from __future__ import annotations

from prefect_uv.api.client import Json
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.command_line import FLOW_RUN_ID
from prefect_uv.deployments.find_deployments import Deployment, connect_to_api, named_deployment
from prefect_uv.deployments.job_environment import job_environment
from prefect_uv.errors import UsageError
from prefect_uv.pull.templating import Blocks
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv.settings.environment_secrets import secrets_in


class DeployedSessions:
    """Makes sessions of deployments; work pools, blocks and variables are read from the API only once."""

    def __init__(self, session: Session) -> None:
        self._parent = session
        self.api = session.api = connect_to_api(session.settings)
        self._blocks = Blocks(self.api, session.log.mask)
        self._templates: dict[str, Json] = {}

    def make(self, deployment: Deployment) -> Session:
        """A session in which this deployment is prepared; whoever prepares it closes its `cleanup`.

        Raises:
            SettingsInvalidError: variables of the deployment or its work pool are invalid.
            PullStepError: they name a block that does not exist.
        """
        parent, log = self._parent, self._parent.log
        template = self._base_job_template(deployment.document.get("work_pool_name"))
        added = job_environment(deployment.document, template, parent.settings.given, self._blocks)
        environ = {**parent.settings.given, **added, **parent.options.variables}
        environ.pop(FLOW_RUN_ID, None)
        log.mask.add(*secrets_in(environ))
        settings = Settings.from_environ(environ)
        log.mask.add(*settings.secrets())
        for text in settings.warnings:
            log.warning(text)
        return Session(settings, log, parent.options, api=self.api, deployment=deployment.document)

    def _base_job_template(self, pool: str | None) -> Json:
        """The base job template of a work pool; empty if there is none."""
        if pool is None:
            return {}
        if pool not in self._templates:
            try:
                self._templates[pool] = self.api.work_pool(pool)["base_job_template"]
            except NotFoundError:
                self._templates[pool] = {}
        return self._templates[pool]


def named_session(session: Session) -> Session:
    """The session of the deployment that an option names.

    Raises:
        UsageError: there is a flow run, too.
        DeploymentNotFoundError: the deployment does not exist.
    """
    if session.settings.flow_run_id:
        raise UsageError("There are a flow run and a deployment to prepare.", hint=f"Unset {FLOW_RUN_ID}.")
    sessions = DeployedSessions(session)
    deployment = session.phase("ask", named_deployment, sessions.api, session.options.deployment)
    chosen = sessions.make(deployment)
    session.cleanup.push(chosen.cleanup)
    return chosen
