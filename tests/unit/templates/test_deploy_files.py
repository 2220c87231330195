"""The manifests in `deploy` are valid, and fit the templates and the Jobs of the real worker."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
from prefect_kubernetes.worker import KubernetesWorker
from ruamel.yaml import YAML

from images.family import ROOT
from prefect_uv.options.template_options import VOLUME
from tests.unit.templates.test_work_pool_templates import VERSIONS, rendered

FILES = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))


def manifest(name: str, folder: str = "kubernetes") -> dict[str, Any]:
    """A manifest, or values for Helm."""
    document: dict[str, Any] = YAML(typ="safe").load(ROOT / "deploy" / folder / name)
    return document


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize("name", [path.name for path in FILES])
def test_manifest_is_valid(name: str, version: str) -> None:
    """Kubernetes' strict schemas accept it, the oldest and the newest."""
    kubernetes_validate.validate(manifest(name), version, strict=True)


def test_claim_is_the_one_that_templates_name() -> None:
    """A template without options finds the claim."""
    assert manifest("cache.yaml")["metadata"]["name"] == VOLUME


def test_network_policy_selects_flow_runs() -> None:
    """The policy is for the pods that the worker starts."""
    (selected,) = manifest("network-policy.yaml")["spec"]["podSelector"]["matchExpressions"]
    pod = rendered(KubernetesWorker.get_default_base_job_template(), {})["spec"]["template"]
    assert selected["key"] in pod["metadata"]["labels"]


def test_helm_values_are_for_the_pool_of_the_page() -> None:
    """The chart's worker serves the pool that the page creates, and one pod at a time may be disrupted."""
    worker = manifest("values.yaml", "helm")["worker"]
    assert (worker["config"]["workPool"], worker["config"]["type"]) == ("kubernetes", KubernetesWorker.type)
    assert worker["podDisruptionBudget"]["maxUnavailable"] < worker["replicaCount"]


def test_helm_values_for_the_restricted_standard() -> None:
    """All capabilities are dropped in both containers; the chart's defaults have the rest."""
    worker = manifest("restricted.yaml", "helm")["worker"]
    for container in (worker, worker["initContainer"]):
        assert container["containerSecurityContext"] == {"capabilities": {"drop": ["ALL"]}}
