"""A real local Prefect stack: server, worker, git server, package index and containers.

Each of them is started and stopped by a context manager, and can be reached from containers, through the Docker bridge,
but not from other machines.
"""

from tests.stack.api import git_clone
from tests.stack.containers import Outcome, image_name
from tests.stack.git import GitServer, Repository, git
from tests.stack.index import PackageIndex
from tests.stack.network import ClosedNetwork
from tests.stack.run import Run
from tests.stack.server import PrefectServer
from tests.stack.stack import EXCHANGE, Stack, remove_left
from tests.stack.volume import CacheVolume

__all__ = [
    "EXCHANGE",
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
