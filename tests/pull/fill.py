"""Create blocks and variables with Prefect's own client: `python -m tests.pull.fill`, with both tables on stdin."""

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
    """A block with a secret and a plain field, like the credentials blocks of the providers."""

    _block_type_slug = "basic-auth-credentials"
    username: str
    password: SecretStr


class Json(Block):
    """A block with one field `value` that is not secret."""

    _block_type_slug = "json"
    value: Any


class TokenCredentials(Block):
    """A block like those of GitHub and GitLab."""

    token: SecretStr


class GitHubCredentials(TokenCredentials):
    """A block with the slug of the real one."""

    _block_type_slug = "github-credentials"


class GitLabCredentials(TokenCredentials):
    """A block with the slug of the real one."""

    _block_type_slug = "gitlab-credentials"


class BitBucketCredentials(BasicAuthCredentials):
    """A block with the slug of the real one."""

    _block_type_slug = "bitbucket-credentials"


BLOCK_TYPES: dict[str, type[Block]] = {
    "basic-auth-credentials": BasicAuthCredentials,
    "bitbucket-credentials": BitBucketCredentials,
    "github-credentials": GitHubCredentials,
    "gitlab-credentials": GitLabCredentials,
    "json": Json,
    "local-file-system": LocalFileSystem,
    "secret": Secret,
}


def main() -> None:
    """Create all blocks and variables of the tables."""
    blocks, variables = json.load(sys.stdin)
    for slug, name, data in blocks:
        BLOCK_TYPES[slug](**data).save(name, overwrite=True)
    for name, value in variables.items():
        Variable.set(name, value, overwrite=True)


if __name__ == "__main__":
    main()
