"""Run by an environment's Python, as text: a module that downloads and executes a bundle, but only to download it.

The module downloads the files that the bundle includes, too, and unpacks them into the working directory.
Prefect 3.9.1: https://github.com/PrefectHQ/prefect/blob/3.9.1/src/integrations/prefect-aws/prefect_aws/bundles/execute.py
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

MODULES = ("prefect.bundles.execute", "prefect._experimental.bundles.execute")


def keep(bundle: dict[str, Any]) -> None:
    """Write the bundle to the file that the variable names; the files that it includes are unpacked already."""
    Path(os.environ["_PREFECT_UV_BUNDLE"]).write_text(json.dumps({**bundle, "files_key": None}))


async def execute_bundle(bundle: dict[str, Any]) -> None:
    """Stand in for Prefect's function, which would execute the bundle."""
    keep(bundle)


def main() -> None:
    """Run the module named on the command line."""
    for name in MODULES:
        try:
            vars(importlib.import_module(name))["execute_bundle"] = execute_bundle
        except ImportError:
            continue
    module = sys.argv[1]
    sys.argv[:] = [module, *sys.argv[2:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
