"""How an image was built, as SLSA provenance.

https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from images.family import Family, Image

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://prefect-uv.invalid/make-release/v1"
LOCAL_BUILDER = "https://prefect-uv.invalid/local-machine"


def provenance(family: Family, image: Image, commit: str, epoch: int, source: str) -> dict[str, Any]:
    """The predicate of an image.

    Args:
        family: what it was built from.
        image: the image.
        commit: the full hash of the commit.
        epoch: the time of the commit, in seconds since 1970.
        source: the address of the git repository.
    """
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"image": image.name, "version": family.version, "source": source},
            "internalParameters": {"debian": family.debian, "pins": dict(family.pins)},
            "resolvedDependencies": [{"uri": f"git+{source}", "digest": {"gitCommit": commit}}],
        },
        "runDetails": {
            "builder": {"id": builder(os.environ)},
            "metadata": {"startedOn": datetime.fromtimestamp(epoch, UTC).isoformat()},
        },
    }


def builder(environ: Mapping[str, str]) -> str:
    """Who built it: the workflow's run on GitHub, or a machine of which nothing is known."""
    server, repository, run = (environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else LOCAL_BUILDER
