"""The flow of a bundle, as the entrypoint from which its hooks are run; a copy of this file is loaded by Prefect.

Prefect before 3.7 has the package as an experimental one.
"""

import json
import os
from pathlib import Path

try:
    from prefect import bundles
except ImportError:
    from prefect._experimental import bundles  # type: ignore[no-redef]

flow = bundles.extract_flow_from_bundle(json.loads(Path(os.environ["_PREFECT_UV_BUNDLE"]).read_text()))
