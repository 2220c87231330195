"""The project's own code, which no environment of the store holds: imported from its sources, or installed anew."""

from prefect_uv.code.code import Code, baked_place, importable, install_project

__all__ = ["Code", "baked_place", "importable", "install_project"]
