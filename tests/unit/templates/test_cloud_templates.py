"""The templates for cloud providers' platforms, from the defaults of all workers that Prefect's server knows."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from prefect_uv.errors import TemplateUnknownError
from prefect_uv.options.option_parser import parse_options
from prefect_uv.templates.job_template import BEHAVIOR
from prefect_uv.templates.template_command import ADAPT

VIEW = files("prefect.server.api") / "collections_data" / "views" / "aggregate-worker-metadata.json"
CLOUDS = {
    kind: worker["default_base_job_configuration"]
    for collection in json.loads(VIEW.read_text()).values()
    for kind, worker in collection.items()
    if kind in ADAPT.keys() - {"docker", "kubernetes"}
}


def cloud_template(kind: str, *words: str, default: Any = None) -> Any:
    """The template that the command makes of a default."""
    document = json.loads(json.dumps(default or CLOUDS[kind]))
    options = parse_options(["template", kind, *words]).template
    assert options is not None
    ADAPT[kind](document, options)
    return document


def defaults(document: Any) -> dict[str, Any]:
    """The defaults of the template's variables."""
    return {name: variable.get("default") for name, variable in document["variables"]["properties"].items()}


def test_server_knows_every_type() -> None:
    """Without `--from`, each type is found."""
    assert CLOUDS.keys() == ADAPT.keys() - {"docker", "kubernetes"}


@pytest.mark.parametrize("kind", CLOUDS)
def test_only_named_variables_change(kind: str) -> None:
    """The image, the memory and the variables for the container have defaults; all others keep theirs."""
    before, after = defaults(CLOUDS[kind]), defaults(cloud_template(kind, "--image", "ours"))
    assert after["image"] == "ours"
    assert {name for name in after if after[name] != before[name]} <= {"image", "memory", "env"}


@pytest.mark.parametrize("kind", CLOUDS)
def test_stopped_run_is_handed_on_where_the_worker_accepts_it(kind: str) -> None:
    """On Cloud Run the worker reports a crash in any case, so the variable stays unset."""
    given = defaults(cloud_template(kind))["env"]
    assert (given == {BEHAVIOR: "reschedule"}) is ("cloud-run" not in kind)


def test_ecs_has_time_to_stop_and_the_file_system() -> None:
    """The container may take the two minutes of Fargate, and mounts the file system at the cache's place."""
    definition = cloud_template("ecs", "--file-system", "fs-1")["job_configuration"]["task_definition"]
    (container,) = definition["containerDefinitions"]
    assert container["stopTimeout"] == 120
    assert container["mountPoints"] == [{"sourceVolume": "cache", "containerPath": "/cache"}]
    (volume,) = definition["volumes"]
    assert volume["efsVolumeConfiguration"] == {"fileSystemId": "fs-1", "transitEncryption": "ENABLED"}
    assert "volumes" not in cloud_template("ecs")["job_configuration"]["task_definition"]


@pytest.mark.parametrize("change", [{"mountPoints": []}, {"entryPoint": ["sh"]}])
def test_task_definition_of_others_is_refused(change: dict[str, Any]) -> None:
    """What is not understood is not changed."""
    document = json.loads(json.dumps(CLOUDS["ecs"]))
    document["job_configuration"]["task_definition"]["containerDefinitions"][0] |= change
    with pytest.raises(TemplateUnknownError):
        cloud_template("ecs", default=document)
