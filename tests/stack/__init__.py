"""A real local Prefect stack: server, worker, git server, package index and containers.

A context manager starts and stops each of them. Containers can reach them through the Docker bridge, but other machines
cannot.
"""

from tests.stack.api import git_clone
from tests.stack.containers import HARDENED, HARDENED_AND_BUILDING, WRITABLE, Outcome, image_name
from tests.stack.git import GitServer, Repository, git
from tests.stack.index import PackageIndex
from tests.stack.network import ClosedNetwork
from tests.stack.run import Run
from tests.stack.server import PrefectServer
from tests.stack.stack import EXCHANGE, POOL, Stack, remove_left
from tests.stack.volume import CacheVolume

__all__ = [
    "EXCHANGE",
    "HARDENED",
    "HARDENED_AND_BUILDING",
    "POOL",
    "WRITABLE",
    "CacheVolume",
    "ClosedNetwork",
    "GitServer",
    "Outcome",
    "PackageIndex",
    "PrefectServer",
    "Repository",
    "Run",
    "Stack",
    "git",
    "git_clone",
    "image_name",
    "remove_left",
]
