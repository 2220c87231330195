"""Makes blocks and variables by Prefect's own client: `python -m tests.pull.fill`, with the tables on stdin."""

from __future__ import annotations

import json
import sys
from typing import Any

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.filesystems import LocalFileSystem
from prefect.variables import Variable
from pydantic import SecretStr


class BasicAuthCredentials(Block):
    """A block with a secret and a plain field, as the credentials blocks of the providers."""

    _block_type_slug = "basic-auth-credentials"
    username: str
    password: SecretStr


class Json(Block):
    """A block with one field `value` that is no secret."""

    _block_type_slug = "json"
    value: Any


KINDS: dict[str, type[Block]] = {
    "basic-auth-credentials": BasicAuthCredentials,
    "json": Json,
    "local-file-system": LocalFileSystem,
    "secret": Secret,
}


def main() -> None:
    """Make all that the tables name."""
    blocks, variables = json.load(sys.stdin)
    for slug, name, data in blocks:
        KINDS[slug](**data).save(name)
    for name, value in variables.items():
        Variable.set(name, value)


if __name__ == "__main__":
    main()
