"""Dependencies, and code, in the image: what `prefect-uv bake` puts there, and what a start finds of it."""

from prefect_uv.bake.record import announce, selections, with_baked_selection
from prefect_uv.bake.verb import bake

__all__ = ["announce", "bake", "selections", "with_baked_selection"]
