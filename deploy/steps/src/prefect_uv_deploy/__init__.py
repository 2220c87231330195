"""The deploying side of prefect-uv: steps for `prefect deploy`, and the same from Python.

steps.build_image    an image with the project's environment, built only if that has changed
steps.push_code      the working tree as an archive in a store; `steps.pull_code` brings it when a flow run starts
BakedImage           for `flow.deploy(image=…)`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_uv_deploy.baked_image import BakedImage

__all__ = ["BakedImage"]


def __getattr__(name: str) -> Any:
    """Import `BakedImage` when it is asked for: a pull step needs neither Docker nor Prefect's part of it."""
    if name == "BakedImage":
        from prefect_uv_deploy.baked_image import BakedImage  # noqa: PLC0415 (see above)

        return BakedImage
    raise AttributeError(name)
