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


class TokenCredentials(Block):
    """A block as those of GitHub and GitLab."""

    token: SecretStr


class GitHubCredentials(TokenCredentials):
    """By the name of the real one."""

    _block_type_slug = "github-credentials"


class GitLabCredentials(TokenCredentials):
    """By the name of the real one."""

    _block_type_slug = "gitlab-credentials"


class BitBucketCredentials(BasicAuthCredentials):
    """By the name of the real one."""

    _block_type_slug = "bitbucket-credentials"


KINDS: dict[str, type[Block]] = {
    "basic-auth-credentials": BasicAuthCredentials,
    "bitbucket-credentials": BitBucketCredentials,
    "github-credentials": GitHubCredentials,
    "gitlab-credentials": GitLabCredentials,
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
