"""The manifests in `deploy/kubernetes` are valid, and fit the templates and the Jobs of the real worker."""

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


def manifest(name: str) -> dict[str, Any]:
    """A manifest."""
    document: dict[str, Any] = YAML(typ="safe").load(ROOT / "deploy" / "kubernetes" / name)
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
