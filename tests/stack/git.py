"""A git server for smart HTTP, with repositories made from project folders.

https://git-scm.com/docs/git-http-backend
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stack.environment import index_environment
from tests.stack.http import Handler, serve
from tests.stack.process import tool
from tests.suite.locks import lock_once

GIT_SECONDS = 60
SERVER_CONFIG = ("uploadpack.allowReachableSHA1InWant", "uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter")
IGNORED = shutil.ignore_patterns(".venv", "__pycache__", ".ruff_cache", ".mypy_cache")
IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
    },
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in this folder, without the user's configuration, and return its stripped output."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=GIT_SECONDS, env={**os.environ, **IDENTITY}
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Repository:
    """A repository on the server and its working copy."""

    url: str
    work: Path

    def copy(self, folder: Path, replace: Mapping[str, str]) -> None:
        """Copy a project folder into the working copy, and replace words such as `@INDEX@` in its settings."""
        shutil.copytree(folder, self.work, dirs_exist_ok=True, ignore=IGNORED)
        for path in (*self.work.rglob("*.toml"), *self.work.rglob("prefect.yaml")):
            text = path.read_text()
            for old, new in replace.items():
                text = text.replace(old, new)
            path.write_text(text)

    def lock(self, *options: str, project: str = "", environment: Mapping[str, str] | None = None) -> None:
        """Run `uv lock` in a folder of the working copy."""
        command = [tool("uv"), "lock", "--directory", str(self.work / project), *options]
        lock_once(command, self.work, {**os.environ, **index_environment(), **(environment or {})})

    def commit(self, message: str) -> str:
        """Commit and push everything in the working copy, and return the commit's ID."""
        git(self.work, "add", "--all", "--force")
        git(self.work, "commit", "--quiet", "--message", message)
        git(self.work, "push", "--quiet", "origin", "HEAD")
        return git(self.work, "rev-parse", "HEAD")


@dataclass(frozen=True)
class GitServer:
    """A server for the bare repositories in a folder, at `http://host:port/<name>.git`."""

    address: str
    root: Path

    @classmethod
    @contextmanager
    def start(cls, host: str, root: Path, password: str | None = None, delay: float = 0) -> Iterator[GitServer]:
        """Serve the repositories in `root`, with a password if there is one; `delay` slows every request."""
        handler = type("GitHandler", (_GitHandler,), {"root": str(root), "password": password, "delay": delay})
        with serve(host, handler) as address:
            yield cls(address, root)

    def create(
        self,
        name: str,
        folder: Path,
        *,
        lock: bool = True,
        replace: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Repository:
        """Create a repository from a project folder, lock it with the real uv, and push it as `main`."""
        bare, work = self.root / f"{name}.git", self.root / "work" / name
        subprocess.run(
            ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True, timeout=GIT_SECONDS
        )
        for key in SERVER_CONFIG:
            git(bare, "config", key, "true")
        repository = Repository(f"http://{self.address}/{name}.git", work)
        repository.copy(folder, replace or {})
        git(work, "init", "--quiet", "--initial-branch=main")
        git(work, "remote", "add", "origin", str(bare))
        if lock:
            repository.lock(environment=environment)
        repository.commit(f"Add {name}")
        return repository

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Hide the repository from clients during the context."""
        bare = self.root / f"{name}.git"
        hidden = bare.rename(self.root / f"{name}.hidden")
        try:
            yield
        finally:
            hidden.rename(bare)


class _GitHandler(Handler):
    """Runs `git http-backend` as a CGI program."""

    root = ""

    def do_GET(self) -> None:
        """Respond to ref discovery."""
        if self.is_authorized():
            self._run_backend(b"")

    def do_POST(self) -> None:
        """Respond to negotiation, and send the pack."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.is_authorized():
            self._run_backend(body)

    def _run_backend(self, body: bytes) -> None:
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=True,
            timeout=GIT_SECONDS,
            env=self._cgi(len(body)),
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        self.answer(content, headers.get("Content-Type", "text/plain"), status)

    def _cgi(self, length: int) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        return {
            **os.environ,
            **IDENTITY,
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
        }
