"""A flow whose module takes long to import."""

import time
from pathlib import Path

from flows import HOOKS
from prefect import flow

if not Path("imported").exists():
    Path("imported").touch()
    time.sleep(60)


@flow(**HOOKS)
def slow(folder: str):
    pass
