"""A flow that needs two packages, which are in none of the images."""

import platform
from datetime import timedelta
from pathlib import Path

import cowsay
import humanize
from prefect import flow, task


@task
def measure(folder: Path) -> str:
    """The size of all files in a folder, in readable units."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return humanize.naturalsize(size)


@flow(log_prints=True)
def hello(name: str = "world") -> str:
    """Greet someone, in the project's own environment."""
    print(cowsay.get_output_string("cow", f"Hello, {name}!"))
    print(f"Python {platform.python_version()}, these files take {measure(Path(__file__).parent)}.")
    print(f"An hour is {humanize.precisedelta(timedelta(hours=1))}.")
    return f"Hello, {name}!"
