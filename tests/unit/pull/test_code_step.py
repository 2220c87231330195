"""`push_code` of the deploying side and `pull_code` at the run: the same tree, verified, and kept on the volume."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.errors import CodeArchiveError, OfflineStepError, PrefectUvError, PullStepError
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull import Checkout, code_store, pull
from prefect_uv.pull.code_archive import unpack
from prefect_uv.settings import Settings
from prefect_uv_deploy.steps import push_code
from tests.unit.http_server import Answer, Server

PULL = "prefect_uv_deploy.steps.pull_code"
TOKEN, KEY = "t0ken-of-a-store", "k3y-of-a-store"


@dataclass
class Pushed:
    """A working tree in a store of files, and a cache volume.

    Attributes:
        step: the inputs of pull_code, as push_code returns them.
        archive: the file in the store.
        here: where the run starts.
        cache: the cache volume.
    """

    step: dict[str, Any]
    archive: Path
    here: Path
    cache: Path
    log: RunLog

    def pull(self, **inputs: Any) -> Checkout:
        """What the run has after the step."""
        settings = Settings.from_environ({"PREFECT_UV_CACHE_DIR": str(self.cache), **inputs.pop("environ", {})})
        steps = [{PULL: {**self.step, **inputs}}]
        return pull({"pull_steps": steps}, settings, self.log, None)

    @property
    def kept(self) -> Path:
        """Where the volume keeps the archive."""
        return self.cache / "code" / "v1" / f"{self.step['sha256']}.tar"


@pytest.fixture
def pushed(tmp_path: Path, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> Pushed:
    """A tree with a module in a folder, a program and a link."""
    tree, here, cache = tmp_path / "tree", tmp_path / "here", tmp_path / "cache"
    for folder in (tree / "etl", here, cache):
        folder.mkdir(parents=True)
    (tree / "etl" / "flows.py").write_text("print('etl')\n")
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o700)
    (tree / "flows.py").symlink_to("etl/flows.py")
    output = push_code(destination=str(tmp_path / "store"), directory=str(tree))
    monkeypatch.chdir(here)
    monkeypatch.setattr(code_store, "PAUSE_SECONDS", 0)
    step = {"url": output["url"], "sha256": output["sha256"]}
    return Pushed(step, Path(output["url"]), here, cache, log)


def serve(server: Server, pushed: Pushed) -> str:
    """Serve the archive, and return its address."""
    server.on("GET /code.tar.gz", Answer(body=pushed.archive.read_bytes()))
    return f"{server.url.removesuffix('/api')}/code.tar.gz"


def test_tree_arrives_as_it_was(pushed: Pushed) -> None:
    """Files, links and the executable bit arrive; the directory is the flow's, and named after the hash."""
    checkout = pushed.pull()
    assert checkout.directory == pushed.here / f"code-{pushed.step['sha256'][:12]}"
    assert (checkout.directory / "etl" / "flows.py").read_text() == "print('etl')\n"
    assert (checkout.directory / "flows.py").readlink() == Path("etl/flows.py")
    assert os.access(checkout.directory / "run.sh", os.X_OK)
    assert checkout.sources == (f"code {pushed.step['sha256'][:12]} (read)",)
    assert not pushed.kept.exists(), "what is on a volume anyway is not kept once more"


def test_volume_answers_for_the_store(pushed: Pushed, server: Server) -> None:
    """The second start makes no request, offline too, and what an earlier run has changed is gone."""
    url = serve(server, pushed)
    first = pushed.pull(url=url)
    assert first.origin.endswith("(fetched)")
    (first.directory / "etl" / "flows.py").write_text("changed\n")
    second = pushed.pull(url=url, environ={"PREFECT_UV_OFFLINE": "true"})
    assert second.origin.endswith("(restored)")
    assert (second.directory / "etl" / "flows.py").read_text() == "print('etl')\n"
    assert len(server.to("GET", "/code.tar.gz")) == 1


@pytest.mark.parametrize("planted", [b"", b"something else", None])
def test_damaged_archive_on_the_volume_is_not_used(pushed: Pushed, server: Server, planted: bytes | None) -> None:
    """Whoever wrote to the volume: what has another hash, or is a link, costs a line and a request."""
    url = serve(server, pushed)
    pushed.kept.parent.mkdir(parents=True)
    if planted is None:
        pushed.kept.symlink_to("/dev/zero")
    else:
        pushed.kept.write_bytes(planted)
    assert pushed.pull(url=url).origin.endswith("(fetched)")
    assert sha256(pushed.kept.read_bytes()).hexdigest() == pushed.step["sha256"]


@pytest.mark.parametrize("content", [b"", gzip.compress(b"another tree"), b"\x1f\x8b damaged"])
def test_other_code_in_the_store_is_refused(pushed: Pushed, content: bytes) -> None:
    """What does not have the hash is not unpacked."""
    pushed.archive.write_bytes(content)
    with pytest.raises(CodeArchiveError):
        pushed.pull()
    assert [*pushed.here.iterdir()] == []


def test_store_without_the_archive(pushed: Pushed, server: Server) -> None:
    """The error names the address without its login."""
    url = serve(server, pushed).replace("code.tar.gz", "gone").replace("http://", "http://me:s3cr3t@")
    with pytest.raises(CodeArchiveError) as caught:
        pushed.pull(url=url)
    assert caught.value.headline == "The code could not be fetched: HTTP 404 Not Found."
    assert "s3cr3t" not in caught.value.found
    pushed.archive.unlink()
    with pytest.raises(CodeArchiveError, match=r"cannot be read: .*\.tar\.gz: No such file"):
        pushed.pull()


def test_server_in_trouble_is_asked_again(pushed: Pushed, server: Server) -> None:
    """Only faults of the server and of the network are retried."""
    url = serve(server, pushed)
    server.on("GET /code.tar.gz", Answer(503), Answer(trouble="drops"), Answer(body=pushed.archive.read_bytes()))
    assert pushed.pull(url=url).origin.endswith("(fetched)")
    assert len(server.to("GET", "/code.tar.gz")) == 3


def test_credentials_do_not_follow_a_redirection(pushed: Pushed, server: Server) -> None:
    """The address gets the token and the headers; the one that it redirects to gets neither."""
    url = serve(server, pushed)
    server.on("GET /moved", Answer(302, headers={"Location": url}))
    pushed.pull(url=url.replace("code.tar.gz", "moved"), token=TOKEN, headers={"X-Key": KEY})
    (asked,), (redirected,) = server.to("GET", "/moved"), server.to("GET", "/code.tar.gz")
    assert (asked.headers["authorization"], asked.headers["x-key"]) == (f"Bearer {TOKEN}", KEY)
    assert {"authorization", "x-key"} & redirected.headers.keys() == set()


def test_offline_without_the_archive(pushed: Pushed, server: Server) -> None:
    """Nothing is requested, and the error says what is missing."""
    with pytest.raises(OfflineStepError):
        pushed.pull(url=serve(server, pushed), environ={"PREFECT_UV_OFFLINE": "true"})
    assert server.requests == []


@pytest.mark.parametrize("readonly", [True, False])
def test_volume_that_cannot_be_written(pushed: Pushed, server: Server, *, readonly: bool) -> None:
    """The run has its code all the same."""
    (pushed.cache / "code").write_text("a file in the way")
    environ = {"PREFECT_UV_CACHE_READONLY": "true"} if readonly else {}
    assert pushed.pull(url=serve(server, pushed), environ=environ).origin.endswith("(fetched)")


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({"sha256": "ab"}, PullStepError),
        ({"directory": ".."}, PullStepError),
        ({"directory": "."}, PullStepError),
        ({"headers": {"X": 1}}, PullStepError),
        ({"surprise": 1}, PullStepError),
    ],
)
def test_invalid_inputs(pushed: Pushed, inputs: dict[str, Any], error: type[PrefectUvError]) -> None:
    """Inputs that are no hash, no place for code, or not known are refused."""
    with pytest.raises(error):
        pushed.pull(**inputs)


def test_directory_of_that_name(pushed: Pushed) -> None:
    """A named directory is used if it is not there, and left alone if it is."""
    assert pushed.pull(directory="app").directory == pushed.here / "app"
    with pytest.raises(PullStepError, match="exists already"):
        pushed.pull(directory="app")


def test_archive_that_no_run_uses_is_deleted(
    pushed: Pushed, server: Server, collect: Any, cache_directory: Any
) -> None:
    """Garbage collection deletes an archive that no run has used for PREFECT_UV_CACHE_DAYS, and no other."""
    pushed.cache = cache_directory.root
    pushed.pull(url=serve(server, pushed))
    collect(PREFECT_UV_CACHE_DAYS="2")
    assert pushed.kept.exists()
    day_seconds = 86400
    long_ago = pushed.kept.stat().st_mtime - 3 * day_seconds
    os.utime(pushed.kept, (long_ago, long_ago))
    collect(PREFECT_UV_CACHE_DAYS="2")
    assert not pushed.kept.exists()


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("../outside.py", tarfile.REGTYPE, ""),
        ("/tmp/outside.py", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "../../etc"),
        ("link", tarfile.SYMTYPE, "/etc"),
        ("pipe", tarfile.FIFOTYPE, ""),
        ("hard", tarfile.LNKTYPE, "flows.py"),
    ],
)
def test_archive_that_writes_elsewhere(tmp_path: Path, name: str, kind: bytes, target: str) -> None:
    """Even with the right hash, an archive has files and links that stay inside, and nothing else."""
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("flows.py"))
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    tree.seek(0)
    (tmp_path / "here").mkdir()
    with pytest.raises(CodeArchiveError):
        unpack(tree, tmp_path / "here" / "code")
    assert [*(tmp_path / "here").iterdir()] == []
    assert not (tmp_path / "outside.py").exists()
