"""The manifests in `deploy` are valid, and fit the templates and the Jobs of the real worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from prefect_kubernetes.worker import KubernetesWorker
from ruamel.yaml import YAML

from images.family import ROOT
from prefect_uv.options.option_parser import parse_options
from prefect_uv.options.template_options import VOLUME
from prefect_uv.templates.kubernetes_template import adapt_kubernetes
from tests.unit.templates.test_work_pool_templates import VERSIONS, rendered

FILES = sorted(path for folder in ("kubernetes", "warm") for path in (ROOT / "deploy" / folder).glob("*.yaml"))


def manifest(name: str, folder: str = "kubernetes") -> dict[str, Any]:
    """A manifest, or values for Helm."""
    document: dict[str, Any] = YAML(typ="safe").load(ROOT / "deploy" / folder / name)
    return document


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_manifest_is_valid(path: Path, version: str) -> None:
    """Kubernetes' strict schemas accept it, the oldest and the newest."""
    kubernetes_validate.validate(manifest(path.name, path.parent.name), version, strict=True)


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("cronjob.yaml", ("jobTemplate", "spec", "template"), []),
        ("daemonset.yaml", ("template",), ["--host-path", "/var/cache/prefect-uv"]),
    ],
)
def test_warming_pod_is_like_a_run(name: str, path: tuple[str, ...], words: list[str]) -> None:
    """It has the volume, the mount and the user of the template: what it builds, the runs can use."""
    spec = manifest(name, "warm")["spec"]
    for part in path:
        spec = spec[part]
    template = KubernetesWorker.get_default_base_job_template()
    options = parse_options(["template", "kubernetes", *words]).template
    assert options
    adapt_kubernetes(template, options)
    pod, run = spec["spec"], rendered(template, {})["spec"]["template"]["spec"]
    assert pod["securityContext"].items() <= run["securityContext"].items()
    assert pod["volumes"] == run["volumes"]
    assert pod["containers"][0]["volumeMounts"] == run["containers"][0]["volumeMounts"]


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
