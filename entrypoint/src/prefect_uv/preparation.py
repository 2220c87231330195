"""Preparing the pulled code for launch: find the project, get its environment, make the code importable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from prefect_uv.api.client import ApiClient
from prefect_uv.api.packages_variable import read_packages_variable
from prefect_uv.bake.bake_record import log_image_version, with_baked_selection
from prefect_uv.cache_volume.cache_directory import ends_with_container
from prefect_uv.engine.launch import PreparedFlow
from prefect_uv.engine.start_up.early_engine import EarlyEngine
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.errors import FlowFileMissingError
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project, find_extra_packages, find_project, log_project
from prefect_uv.project_code import ProjectCode
from prefect_uv.pull import Checkout
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv.settings.environment_secrets import secrets_in_urls


def prepare(
    session: Session, deployment: Mapping[str, Any], checkout: Checkout, early: EarlyEngine | None = None
) -> PreparedFlow:
    """Run the phases look, sync and code.

    Args:
        session: the session.
        deployment: the deployment.
        checkout: its code.
        early: an engine in the environment that was used last, which makes room if another one has to be built.
    """
    log_image_version(session.settings.baked_dir, session.log)
    entrypoint = deployment.get("entrypoint")
    with _saying_that_nothing_was_pulled(session.settings, checkout):
        project = session.phase("look", find_flow_project, session.settings, session.log, checkout, entrypoint)
    clone = checkout.clone_with_login if session.settings.git_login_for_dependencies else None
    store = EnvironmentStore(session.settings, session.log, clone, early.discard if early else lambda: None)
    environment = session.phase("sync", environment_for, session, store, project, checkout)
    project_code = ProjectCode(session.settings, session.log, session.scratch, checkout.clones)
    code = session.phase("code", project_code.make_importable, project, environment)
    maintenance = store.maintenance(environment)
    launcher, wrapper = session.settings.launcher, session.settings.engine_wrapper
    bundle, version = session.settings.import_bundle, session.server_version
    return PreparedFlow(launcher, checkout, environment, code, maintenance, entrypoint, wrapper, bundle, early, version)


@contextmanager
def _saying_that_nothing_was_pulled(settings: Settings, checkout: Checkout) -> Iterator[None]:
    """Add to the error about the flow's missing file that the deployment of the run fetches no code, if it does not."""
    try:
        yield
    except FlowFileMissingError as error:
        if settings.flow_run_id and not checkout.pulled:
            error.headline += " Nothing was pulled."
            error.hint = (
                "The deployment has no step that fetches code: add `git_clone` to its pull steps and deploy again; or"
                f" put the code into the image, at {checkout.directory}."
            )
        raise


def packages_from_variable(settings: Settings, log: RunLog, api: ApiClient | None) -> tuple[str, ...]:
    """Read and log the extra packages in the Prefect Variable that the settings name; none if they name none.

    Args:
        settings: the settings.
        log: the log; its mask gets the credentials in the packages' URLs.
        api: the API; None to connect to the one in the settings, if any.
    """
    name = settings.extra_packages_variable
    if not name:
        return ()
    packages = read_packages_variable(name, api or (ApiClient(settings) if settings.api_url else None))
    log.mask.add(*(secret for package in packages for secret in secrets_in_urls(package)))
    log.info(f"extra packages from the Prefect Variable {name!r}: {', '.join(packages) or 'none'}")
    return packages


def find_flow_project(settings: Settings, log: RunLog, checkout: Checkout, entrypoint: str | None) -> Project:
    """Find the flow's project; if the deployment selects nothing, use the selection that the image was baked with."""
    project = find_project(checkout.directory, entrypoint, settings)
    baked_settings = with_baked_selection(settings, project, log)
    if baked_settings is not settings:
        project = find_project(checkout.directory, entrypoint, baked_settings)
    extra = find_extra_packages(checkout.directory, project, settings)
    return log_project(log, project, {*checkout.requirements, *extra.files})


def environment_for(session: Session, store: EnvironmentStore, project: Project, checkout: Checkout) -> Environment:
    """The project's environment, extended by the extra packages of the deployment and of its pull steps, if any."""
    variable_packages = packages_from_variable(session.settings, session.log, session.api)
    extra = find_extra_packages(checkout.directory, project, session.settings, variable_packages)
    if extra.summary:
        session.log.info(extra.summary)
    files, requirements = (*extra.files, *checkout.requirements), (*extra.requirements, *checkout.packages)
    try:
        environment = store.environment(project)
        environment = store.extend(environment, replace(extra, requirements=requirements, files=files), project)
    finally:
        _report_policy(store, session)
    for path in checkout.virtual_environments:
        from prefect_uv.environments.unused_environment import log_unused_environment  # noqa: PLC0415 (rarely needed)

        log_unused_environment(path, environment.path, project, session.log)
    _warn_without_volume(environment, session.settings, session.log)
    return environment


def _report_policy(store: EnvironmentStore, session: Session) -> None:
    """Keep the policy's verdict for the record, and warn of what it does not allow."""
    check = store.policy_check
    if check is None or check.verdict is None:
        return
    session.results["policy"] = check.verdict.as_facts(check.policy, session.settings.policy)
    if check.verdict.all and not check.refuses:
        session.log.warning(f"policy: {check.verdict.summary}")


def _warn_without_volume(environment: Environment, settings: Settings, log: RunLog) -> None:
    """Say that what was just built will be gone: nothing is mounted where the cache volume should be."""
    root = settings.cache_dir
    if not environment.hit and environment.path.is_relative_to(root) and ends_with_container(root):
        log.warning(
            f"no volume is mounted at {root}, so this environment is deleted with the container, and every run builds"
            f" one: mount a volume there, such as `--volume prefect-uv-cache:{root}`"
        )
