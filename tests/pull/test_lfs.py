"""Git LFS, with the real git-lfs and a server of its protocol: files instead of pointers, warm and offline too.

https://github.com/git-lfs/git-lfs/blob/v3.6.1/docs/api/batch.md
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.pull.conftest import Ours, Outcome
from tests.pull.servers import installed
from tests.unit.conftest import Origin
from tests.unit.git_server import GitHandler
from tests.unit.http_server import serve

CLONE = "prefect.deployments.steps.git_clone"
PASSWORD = "t0ken-of-tests"  # noqa: S105 (planted)
BATCH = "/info/lfs/objects/batch"


@dataclass
class LfsServer:
    """A server of a repository and its LFS objects.

    Attributes:
        url: the repository, with a login.
        origin: the repository.
        requests: the requests for LFS objects: `batch`, and the ids.
        refusal: the status with which batches are refused; 0 to serve them, 404 to have none of the objects.
    """

    url: str
    origin: Origin
    requests: list[str] = field(default_factory=list)
    refusal: int = 0


@pytest.fixture(scope="module", autouse=True)
def lfs(clean_environment: None) -> None:  # noqa: ARG001 (its home)
    """Install git-lfs, and set it up as Debian's package does."""
    installed("git-lfs", "git-lfs")
    subprocess.run(["git", "lfs", "install", "--skip-repo"], check=True, capture_output=True, timeout=20)


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[LfsServer]:
    """A repository with a large file, for those who have the password."""
    origin = Origin(tmp_path / "origin" / "flows")
    (origin.path / ".gitattributes").write_text("*.bin filter=lfs -text\n")
    origin.commit("model.bin", "the first model")
    server = LfsServer("", origin)

    class LfsHandler(GitHandler):
        """Answers batches, and serves the objects."""

        root = origin.path.parent
        credentials = f"bot:{PASSWORD}"

        def do_GET(self) -> None:
            if not self.path.startswith("/objects/"):
                super().do_GET()
                return
            name = self.path.removeprefix("/objects/")
            server.requests.append(name)
            self._answer(200, (origin.path / ".git" / "lfs" / "objects" / name[:2] / name[2:4] / name).read_bytes())

        def do_POST(self) -> None:
            if not self.path.endswith(BATCH):
                super().do_GET()
                return
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append("batch")
            status = server.refusal or 200 if "Authorization" in self.headers else 401
            objects = [{**wanted, **self._location(wanted["oid"])} for wanted in body["objects"]]
            self._answer(200 if status == 404 else status, json.dumps({"objects": objects}).encode())

        def _location(self, name: str) -> dict[str, Any]:
            if server.refusal:
                return {"error": {"code": 404, "message": "Object does not exist"}}
            return {"actions": {"download": {"href": f"http://{self.headers['Host']}/objects/{name}"}}}

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.send_header("Content-Type", "application/vnd.git-lfs+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serve(LfsHandler) as port:
        server.url = f"http://bot:{PASSWORD}@127.0.0.1:{port}/flows"
        yield server


@pytest.fixture
def mirrored(alone: Ours, tmp_path: Path) -> Ours:
    """Our own steps with a cache volume."""
    alone.cache = tmp_path / "cache"
    alone.cache.mkdir()
    return alone


def pull(ours: Ours, hosted: LfsServer, base: Path, name: str, **variables: str) -> Outcome:
    """Clone into a new directory, as a new container does."""
    return ours([{CLONE: {"repository": hosted.url, "clone_directory_name": name}}], base, variables)


def test_files_and_not_pointers(hosted: LfsServer, mirrored: Ours, bases: tuple[Path, Path], tmp_path: Path) -> None:
    """They are downloaded once, with the login of the clone, and kept on the volume, the current ones only."""
    base = bases[1]
    for name, content, requests in (("cold", "the first model", 3), ("warm", "the first model", 0)):
        hosted.requests.clear()
        assert pull(mirrored, hosted, base, name).error == ""
        assert (base / name / "model.bin").read_text() == content
        assert len(hosted.requests) == requests, "a batch without the login, a batch with it, the object"
    hosted.origin.commit("model.bin", "the second model")
    assert pull(mirrored, hosted, base, "changed").error == ""
    (tmp_path / "origin").rename(tmp_path / "gone")
    assert pull(mirrored, hosted, base, "offline", PREFECT_UV_OFFLINE="true").error == ""
    assert (base / "offline" / "model.bin").read_text() == "the second model"
    assert mirrored.cache
    kept = [path.read_text() for path in mirrored.cache.rglob("lfs/objects/*/*/*")]
    assert sorted(kept) == ["the first model", "the second model"], "one in each snapshot"
    files = [path for path in (*mirrored.cache.rglob("*"), *base.rglob("*")) if path.is_file()]
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("refusal", "slug"), [(401, "git-unauthorized"), (403, "git-unauthorized"), (404, "lfs-failed")]
)
def test_refused(hosted: LfsServer, mirrored: Ours, bases: tuple[Path, Path], refusal: int, slug: str) -> None:
    """Files that cannot be downloaded end the pull, after few requests, and nothing is left behind."""
    hosted.refusal = refusal
    outcome = pull(mirrored, hosted, bases[1], "flows")
    assert outcome.slug == slug, outcome.error
    assert len(hosted.requests) <= 3
    assert outcome.tree == {}


def test_offline_without_the_file(hosted: LfsServer, mirrored: Ours, bases: tuple[Path, Path]) -> None:
    """Offline, git-lfs does not connect either."""
    assert pull(mirrored, hosted, bases[1], "pointers", GIT_LFS_SKIP_SMUDGE="1").error == ""
    assert (bases[1] / "pointers" / "model.bin").read_text().startswith("version https://git-lfs")
    assert pull(mirrored, hosted, bases[1], "offline", PREFECT_UV_OFFLINE="true").slug == "offline-code-missing"
    assert hosted.requests == []
    assert [path.name for path in bases[1].iterdir()] == ["pointers"]
