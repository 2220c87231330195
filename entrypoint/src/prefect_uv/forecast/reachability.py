"""Whether package indexes answer: asked as uv asks them, for the page of one package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from prefect_uv.api.connections.connection_pool import BodyTooLargeError
from prefect_uv.api.connections.redirection import RedirectError
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.transport import ApiRequest, Transport, UnansweredError
from prefect_uv.errors import SettingsInvalidError
from prefect_uv.package_names import PREFECT
from prefect_uv.project import LockedProject, Project
from prefect_uv.project.files.text_files import decode_text
from prefect_uv.project.lockfile.lockfile_text import registries
from prefect_uv.settings import Settings

INDEX_POLICY = RetryPolicy(1, 10.0, 15.0)
REFUSALS = {401, 403, 407}
TROUBLE = 500


def asked_indexes(project: Project) -> list[str]:
    """The indexes over HTTP that a build of a locked project asks; those of other projects, uv's plan has asked."""
    if not isinstance(project, LockedProject):
        return []
    locks = (decode_text(project.lock, content) for name, content in project.inputs if name.endswith(".lock"))
    found = {address.rstrip("/") for lock in locks for address in registries(lock)}
    return sorted(address for address in found if address.startswith(("http://", "https://")))


def index_answers(addresses: list[str], settings: Settings) -> Iterator[Mapping[str, str | bool]]:
    """For each index, whether it answers, and what; one that wants credentials has answered, and uv may have them."""
    for address in addresses:
        reached, answer = _answer(address, settings)
        yield {"index": address, "reached": reached, "answer": answer}


def _answer(address: str, settings: Settings) -> tuple[bool, str]:
    if settings.offline:
        return False, "PREFECT_UV_OFFLINE does not allow to ask"
    reaching = replace(settings, api_url=address, api_insecure=False)
    request = ApiRequest("GET", f"/{PREFECT[0]}/", None, {"Accept": "text/html"}, {})
    try:
        response = Transport(reaching).send(request, INDEX_POLICY)
    except (UnansweredError, RedirectError, BodyTooLargeError, SettingsInvalidError, ValueError) as error:
        return False, str(error)
    if response.status in REFUSALS:
        return True, f"answers {response.status} to a request without credentials"
    return response.status < TROUBLE, f"answers {response.status}"
