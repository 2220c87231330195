"""Every template is what the real worker accepts and what Kubernetes' schemas allow, oldest and newest."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import kubernetes_validate
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from prefect_uv.options.option_parser import parse_options
from prefect_uv.start import start
from prefect_uv.templates.template_command import template
from tests.unit.http_server import Answer, Server

API = "http://prefect.example.com/api"
INIT = ("--init-container", "--api-url", API)
VARIANTS = (
    (),
    ("--claim", "other"),
    ("--host-path", "/var/cache/prefect-uv"),
    ("--local-dir", "/var/cache/prefect-uv", *INIT),
    ("--no-cache",),
    ("--openshift",),
    ("--restricted",),
    ("--restricted", "--openshift", "--no-cache", *INIT),
    INIT,
    ("--image", "registry.example.com/prefect-uv:py313", "--service-account", "runs"),
)
NO_SERVER = PrefectClient(API)
"""A template without blocks asks for nothing; without a client, Prefect would start a server of its own."""
VERSIONS = kubernetes_validate.utils.all_versions()
NOT_IN_A_POD = ("completions", "parallelism")
"""The worker's own default has these fields of a Job in the pod and insists on them; an API server drops them."""


def printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str, document: Any, *words: str
) -> dict[str, Any]:
    """The template that the command prints."""
    source = tmp_path / "default.json"
    source.write_text(json.dumps(document))
    assert start(template, {}, ["template", kind, "--from", str(source), *words]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def rendered(document: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The Job that the worker creates."""
    read = KubernetesWorkerJobConfiguration.from_template_and_values(document, values, client=NO_SERVER)
    configuration = asyncio.run(read)
    configuration.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-fox"))
    job: dict[str, Any] = configuration.job_manifest
    return job


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize("words", VARIANTS, ids=" ".join)
def test_job_is_valid_in_every_variant(
    words: tuple[str, ...], version: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The Job that the real worker makes of a template passes the strict schemas of Kubernetes."""
    document = printed(capsys, tmp_path, "kubernetes", KubernetesWorker.get_default_base_job_template(), *words)
    job = rendered(document, {"env": {"UV_INDEX": "https://packages.example.com"}})
    pod = job["spec"]["template"]["spec"]
    assert [pod.pop(name) for name in NOT_IN_A_POD] == [1, 1]
    kubernetes_validate.validate(job, version, strict=True)
    assert pod["containers"][0]["args"] == ["prefect", "flow-run", "execute"]
    assert pod["terminationGracePeriodSeconds"] == 60


def test_environment_image_is_a_variable(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each deployment names its own by a job variable; volumes of this kind came with Kubernetes 1.31."""
    words = ("--restricted", "--environment-image", "registry.example.com/etl:main")
    document = printed(capsys, tmp_path, "kubernetes", KubernetesWorker.get_default_base_job_template(), *words)
    own = f"registry.example.com/other@sha256:{'0' * 64}"
    for values, image in (({}, "registry.example.com/etl:main"), ({"environment_image": own}, own)):
        job = rendered(document, values)
        pod = job["spec"]["template"]["spec"]
        assert [pod.pop(name) for name in NOT_IN_A_POD] == [1, 1]
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)
        volume = {"name": "environment", "image": {"reference": image, "pullPolicy": "IfNotPresent"}}
        assert volume in pod["volumes"]
        assert {"name": "environment", "mountPath": "/opt/baked"} in pod["containers"][0]["volumeMounts"]


def test_restricted_pod_keeps_the_pod_security_standard(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each container, the init container too, has what the restricted standard asks for, and can write to its home."""
    words = ("--restricted", *INIT)
    document = printed(capsys, tmp_path, "kubernetes", KubernetesWorker.get_default_base_job_template(), *words)
    pod = rendered(document, {})["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in (*pod["containers"], *pod["initContainers"]):
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounted == {"/cache", "/tmp", "/home/prefect", "/handover"}


def test_openshift_chooses_user_and_group(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No id is fixed, at any depth."""
    default = KubernetesWorker.get_default_base_job_template()
    text = json.dumps(printed(capsys, tmp_path, "kubernetes", default, "--openshift", "--restricted"))
    assert all(f'"{name}"' not in text for name in ("fsGroup", "runAsUser", "runAsGroup"))


def test_directory_of_the_node_is_for_all_containers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Both containers have it, and the variable, which a deployment's own variables do not replace."""
    default = KubernetesWorker.get_default_base_job_template()
    document = printed(capsys, tmp_path, "kubernetes", default, "--local-dir", "/var/cache/prefect-uv", *INIT)
    pod = rendered(document, {"env": {"UV_INDEX": "https://packages.example.com"}})["spec"]["template"]["spec"]
    source = {"path": "/var/cache/prefect-uv", "type": "DirectoryOrCreate"}
    assert {"name": "local", "hostPath": source} in pod["volumes"]
    for container in (*pod["containers"], *pod["initContainers"]):
        assert {"name": "PREFECT_UV_LOCAL_DIR", "value": "/local"} in container["env"]
        assert {"name": "local", "mountPath": "/local"} in container["volumeMounts"]


@pytest.mark.parametrize(("backoff", "behavior"), [(0, "reschedule"), (2, "relinquish")])
def test_init_container_has_what_the_main_container_gets(
    backoff: int, behavior: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The run's id is the label that the worker sets, and what an eviction does is what the worker sets itself."""
    default = copy.deepcopy(KubernetesWorker.get_default_base_job_template())
    default["variables"]["properties"]["backoff_limit"]["default"] = backoff
    job = rendered(printed(capsys, tmp_path, "kubernetes", default, *INIT), {})
    pod = job["spec"]["template"]
    init = {item["name"]: item for item in pod["spec"]["initContainers"][0]["env"]}
    main = {item["name"]: item for item in pod["spec"]["containers"][0]["env"]}
    name = "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"
    assert init[name] == main[name] == {"name": name, "value": behavior}
    assert init["PREFECT_API_URL"]["value"] == API
    label = init["PREFECT__FLOW_RUN_ID"]["valueFrom"]["fieldRef"]["fieldPath"].split("'")[1]
    assert pod["metadata"]["labels"][label] == main["PREFECT__FLOW_RUN_ID"]["value"]


@pytest.mark.parametrize("words", [(), ("--restricted",), ("--no-cache", "--image", "prefect-uv:py313")])
def test_docker_template_is_what_the_worker_accepts(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The real worker reads the volume, the image and the hardening."""
    document = printed(capsys, tmp_path, "docker", DockerWorker.get_default_base_job_template(), *words)
    configuration = asyncio.run(DockerWorkerJobConfiguration.from_template_and_values(document, {}, client=NO_SERVER))
    assert configuration.volumes == ([] if "--no-cache" in words else ["prefect-uv-cache:/cache"])
    assert bool((configuration.container_create_kwargs or {}).get("read_only")) is ("--restricted" in words)
    if "--image" in words:
        assert configuration.image == "prefect-uv:py313"


def test_default_comes_from_the_api(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file, the server is asked for the template of the worker."""
    worker = {
        "type": "kubernetes",
        "default_base_job_configuration": KubernetesWorker.get_default_base_job_template(),
    }
    view = {"prefect-kubernetes": {"kubernetes": worker}}
    server.on("GET /api/collections/views/aggregate-worker-metadata", Answer(200, view))
    assert start(template, {"PREFECT_API_URL": server.url}, ["template", "kubernetes"]) == 0
    assert "prefect-uv-cache" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        ((), "usage"),
        (("nomad",), "usage"),
        (("kubernetes",), "template-missing"),
        (("kubernetes", "--from", "/missing.json"), "template-missing"),
        (("kubernetes", "--init-container"), "usage"),
        (("kubernetes", "--host-path", "/x", "--restricted"), "usage"),
        (("kubernetes", "--local-dir", "/x", "--openshift"), "usage"),
        (("kubernetes", "--claim", "x", "--no-cache"), "usage"),
    ],
)
def test_mistakes_are_named(words: tuple[str, ...], slug: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed on stdout, which may be a file of the user."""
    assert start(template, {}, ["template", *words]) == 64
    output = capsys.readouterr()
    assert output.out == ""
    assert f"error[{slug}]" in output.err


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("variables"),
        lambda document: document["job_configuration"].pop("job_manifest"),
        lambda document: _pod(document).update(containers=[]),
        lambda document: _pod(document).update(volumes=[]),
        lambda document: _pod(document)["containers"][0].update(command=["sh"]),
        lambda document: document["variables"]["properties"].pop("image"),
    ],
)
def test_unknown_shape_is_refused(change: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A template that is not understood is not changed."""
    document = copy.deepcopy(KubernetesWorker.get_default_base_job_template())
    change(document)
    source = tmp_path / "default.json"
    source.write_text(json.dumps(document))
    words = ["template", "kubernetes", "--image", "x", "--from", str(source)]
    assert start(template, {}, words) == 64
    assert "error[template-unknown]" in capsys.readouterr().err


def _pod(document: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = document["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    return pod


def test_options_are_for_one_type() -> None:
    """A Docker pool has no claim."""
    assert parse_options(["template", "docker", "--volume", "v"]).template.volume == "v"  # type: ignore[union-attr]
