"""The variables of a deployment's runs, compared with what Prefect's own workers make of the same documents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prefect.workers.base import BaseJobConfiguration

from prefect_uv.api.client import ApiClient
from prefect_uv.deployments.job_environment import job_environment
from prefect_uv.errors import PullStepError, SettingsInvalidError
from prefect_uv.log.mask import Mask
from prefect_uv.pull.templating import Blocks
from tests.unit.conftest import MakeSettings
from tests.unit.http_server import Answer, Server

ENVIRON = {"REGION": "north"}


def template(configured: Any = "{{ env }}", **defaults: Any) -> dict[str, Any]:
    """A base job template with these defaults of variables."""
    properties = {name: {"default": value} for name, value in defaults.items()}
    return {"job_configuration": {"env": configured}, "variables": {"properties": {"env": {}, **properties}}}


@pytest.mark.parametrize(
    ("pool", "job_variables"),
    [
        (template(), {}),
        (template(env={"A": "pool", "B": "pool"}), {"env": {"B": "deployment", "C": "deployment"}}),
        (template({"A": "configured", "B": "configured"}, env={"B": "default"}), {"env": {"C": "deployment"}}),
        (template({"TAG": "{{ tag }}-x", "GONE": "{{ nothing }}"}, tag="v1"), {}),
        (template({"TAG": "{{ tag }}"}, tag="v1"), {"tag": "v2"}),
        (template(env={"A": "pool"}), {"env.A": "dotted", "env.B": "dotted"}),
        (template(env={"A": "pool"}), {"env.B": "dotted", "env": {"B": "nested"}}),
        (template(env={"A": "pool"}), {"env": {"A": None}}),
        (template(env={"A": "pool"}), {"env": {}}),
    ],
)
def test_variables_are_those_of_a_worker(pool: dict[str, Any], job_variables: dict[str, Any]) -> None:
    """The pool's variables come first, and the deployment's replace them one by one."""
    for properties in pool["variables"]["properties"].values():
        properties.setdefault("type", "object")
    unused: Any = object()
    made: Any = asyncio.run(BaseJobConfiguration.from_template_and_values(pool, job_variables, client=unused))
    expected = {name: value for name, value in made.env.items() if value is not None}
    assert job_environment({"job_variables": job_variables}, pool, ENVIRON, Blocks(None, Mask())) == expected


def test_blocks_are_read_and_masked(server: Server, make_settings: MakeSettings) -> None:
    """Values come from blocks and Prefect Variables, too, and a block's secret is never shown."""
    server.on("GET /api/block_types/slug/secret/block_documents/name/token", Answer(body={"data": {"value": "hush-1"}}))
    server.on("GET /api/variables/name/region", Answer(body={"value": "south"}))
    mask = Mask()
    given = {"env": {"TOKEN": "{{ prefect.blocks.secret.token }}", "REGION": "{{ prefect.variables.region }}"}}
    blocks = Blocks(ApiClient(make_settings()), mask)
    assert job_environment({"job_variables": given}, {}, ENVIRON, blocks) == {"TOKEN": "hush-1", "REGION": "south"}
    assert mask("hush-1") == "****"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (["A=1"], "The job variable env is not a mapping."),
        ({"A": 1}, "The job variable env is invalid: A is a number."),
        ({"A=B": "1"}, "The job variable env has 'A=B', which cannot be the name of a variable."),
        ({"": "1"}, "The job variable env has '', which cannot be the name of a variable."),
        ({"A": "\0"}, "The job variable env is invalid: A has characters that it cannot have."),
    ],
)
def test_invalid_variables_are_refused(env: Any, message: str) -> None:
    """A worker refuses them too."""
    with pytest.raises(SettingsInvalidError) as refused:
        job_environment({"job_variables": {"env": env}}, {}, ENVIRON, Blocks(None, Mask()))
    assert refused.value.headline == message


def test_missing_block_is_named() -> None:
    """The error names the block."""
    given = {"env": {"TOKEN": "{{ prefect.blocks.secret.token }}"}}
    with pytest.raises(PullStepError, match="secret/token does not exist"):
        job_environment({"job_variables": given}, {}, ENVIRON, Blocks(None, Mask()))
