"""The shapes of the API's documents, as far as we read them.

Prefect 3.8.8: https://docs.prefect.io/v3/api-ref/rest-api
"""

from __future__ import annotations

import re

from prefect_uv.shapes import TEXT_OR_NONE

STATE = {
    "id": TEXT_OR_NONE,
    "type": TEXT_OR_NONE,
    "name": TEXT_OR_NONE,
    "state_details": ({"deployment_concurrency_lease_id": TEXT_OR_NONE}, None),
}
FLOW_RUN = {"name": str, "deployment_id": TEXT_OR_NONE, "state": (STATE, None), "run_count": (int, None)}
DEPLOYMENT = {
    "entrypoint": TEXT_OR_NONE,
    "path": TEXT_OR_NONE,
    "pull_steps": (list, None),
    "storage_document_id": TEXT_OR_NONE,
}
NAMED_DEPLOYMENT = {
    **DEPLOYMENT,
    "id": str,
    "name": str,
    "flow_id": str,
    "work_pool_name": TEXT_OR_NONE,
    "job_variables": (dict, None),
}
FLOW = {"id": str, "name": str}
WORK_POOL = {
    "base_job_template": {
        "job_configuration": (dict, None),
        "variables": ({"properties": ({...: dict}, None)}, None),
    }
}
BLOCK_DOCUMENT = {
    "data": dict,
    "block_schema": ({"fields": ({"secret_fields": ([str], None)}, None)}, None),
    "block_type": ({"slug": TEXT_OR_NONE}, None),
}
PREFECT_VARIABLE = {"value": object}
TRANSITION = {"state": (STATE, None)}
CSRF_ANSWER = {"token": re.compile(r"[!-~]+")}
WORKER_METADATA = {...: {...: {"type": TEXT_OR_NONE, "default_base_job_configuration": object}}}
AUTHENTICATION = {"type": str}
