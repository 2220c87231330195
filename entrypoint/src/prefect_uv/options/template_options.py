"""The options of `prefect-uv template`, and their parsers: one for each type of work pool."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefect_uv.errors import UsageError

TYPES = {
    "kubernetes": "for the worker of prefect-kubernetes",
    "docker": "for the worker of prefect-docker",
    "ecs": "for the worker of prefect-aws",
    "cloud-run": "for the worker of prefect-gcp with the API v1",
    "cloud-run-v2": "for the worker of prefect-gcp",
    "azure-container-instance": "for the worker of prefect-azure",
}
RESTRICTED_TYPES = ("kubernetes", "docker")
VOLUME = "prefect-uv-cache"


@dataclass(frozen=True, kw_only=True)
class TemplateOptions:
    """What the template is to have.

    Attributes:
        type: the type of the work pool.
        source: a file with the worker's default, or `-` for stdin; empty for the API.
        image: the default of the variable `image`.
        restricted: a read-only root, no capabilities, and whatever else the platform's strictest rules ask for.
        no_cache: no volume that outlives a run.
        volume: the named volume of a Docker pool.
        file_system: the id of the EFS file system of an ECS pool.
        claim: the persistent volume claim.
        host_path: a directory on each node, instead of a claim.
        local_dir: a directory on each node, for PREFECT_UV_LOCAL_DIR, in addition to a claim that is far away.
        environment_image: the default of the variable `environment_image`: the image of an exported environment, which
            each pod mounts.
        openshift: neither user nor group are fixed.
        service_account: the default of the variable `service_account_name`.
        init_container: `prefect-uv sync` runs in an init container.
        api_url: for the init container, the API as the cluster reaches it.
        api_key_secret: for the init container, the secret with the API's `key` or `auth-string`.
    """

    type: str = ""
    source: str = ""
    image: str = ""
    restricted: bool = False
    no_cache: bool = False
    volume: str = VOLUME
    file_system: str = ""
    claim: str = VOLUME
    host_path: str = ""
    local_dir: str = ""
    environment_image: str = ""
    openshift: bool = False
    service_account: str = ""
    init_container: bool = False
    api_url: str = ""
    api_key_secret: str = "prefect-api-key"  # noqa: S105 (its name)


def read_template_options(given: Mapping[str, Any]) -> TemplateOptions:
    """The options, if they fit together.

    Raises:
        UsageError: they do not.
    """
    options = TemplateOptions(**given)
    on_node = "--host-path" if options.host_path else "--local-dir" if options.local_dir else ""
    if on_node and (options.restricted or options.openshift):
        raise UsageError(
            f"`prefect-uv template`: {on_node} is not possible with --restricted or --openshift.",
            "The restricted Pod Security Standard and OpenShift's restricted policy forbid hostPath volumes.",
            "Use --claim with a claim on a local volume of the node.",
        )
    if options.init_container and not options.api_url:
        hint = "Give the URL of the Prefect API as pods reach it: the worker passes it to the main container only."
        raise UsageError("`prefect-uv template`: --init-container needs --api-url.", hint=hint)
    return options


def add_template_options(parser: argparse.ArgumentParser) -> None:
    """Add a parser for each type of work pool."""
    types = parser.add_subparsers(dest="type", title="types", metavar="TYPE")
    for name, summary in TYPES.items():
        types.add_parser(name, help=summary, description=f"Print the template {summary}.")
    for one in types.choices.values():
        one.add_argument("--from", dest="source", metavar="FILE", help="the worker's own default; - is stdin")
        one.add_argument("--image", metavar="IMAGE", help="the default image of the pool")
    for name in RESTRICTED_TYPES:
        types.choices[name].add_argument("--restricted", action="store_true", help="read-only root, no capabilities")
    _add_kubernetes(types.choices["kubernetes"])
    docker = types.choices["docker"].add_mutually_exclusive_group()
    docker.add_argument("--volume", metavar="NAME", help=f"the volume of the cache; default {VOLUME}")
    docker.add_argument("--no-cache", action="store_true", help="no cache between runs")
    types.choices["ecs"].add_argument("--file-system", metavar="ID", help="the EFS file system of the cache")


def _add_kubernetes(parser: argparse.ArgumentParser) -> None:
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument("--claim", metavar="NAME", help=f"the claim of the cache; default {VOLUME}")
    cache.add_argument("--host-path", metavar="DIRECTORY", help="the cache is in this directory of each node")
    cache.add_argument("--no-cache", action="store_true", help="no cache between runs, but between a pod's containers")
    parser.add_argument(
        "--local-dir", metavar="DIRECTORY", help="the files of a far cache are in this directory of each node"
    )
    parser.add_argument(
        "--environment-image",
        metavar="IMAGE",
        help="mount an image of `prefect-uv export`; deployments may change it",
    )
    parser.add_argument("--openshift", action="store_true", help="leave the ids of user and group to the platform")
    parser.add_argument("--service-account", metavar="NAME", help="the pool's default service account")
    parser.add_argument("--init-container", action="store_true", help="build in an init container; needs --api-url")
    parser.add_argument("--api-url", metavar="URL", help="the Prefect API as the init container reaches it")
    parser.add_argument(
        "--api-key-secret", metavar="NAME", help="has the API's `key` or `auth-string`; default prefect-api-key"
    )
