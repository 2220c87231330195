"""A small package index that serves handmade wheels, with optional authentication.

https://packaging.python.org/en/latest/specifications/simple-repository-api/
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from tests.pins import PREFECT
from tests.stack.http import Handler, serve

MODULE = f"""\
__version__ = "{PREFECT}"


def flow(function=None, **options):
    return function or flow
"""


@dataclass(frozen=True)
class PackageIndex:
    """A running index, with the files that it serves, by name."""

    address: str
    files: dict[str, bytes]

    @property
    def url(self) -> str:
        """The URL of the index, for uv."""
        return f"http://{self.address}/simple"

    @classmethod
    @contextmanager
    def start(cls, host: str, password: str | None = None, delay: float = 0) -> Iterator[PackageIndex]:
        """Serve an empty index at this address, with a password if there is one; `delay` slows every request."""
        files: dict[str, bytes] = {}
        handler = type("IndexHandler", (_IndexHandler,), {"files": files, "password": password, "delay": delay})
        with serve(host, handler) as address:
            yield cls(address, files)

    @classmethod
    @contextmanager
    def with_prefect(cls, host: str) -> Iterator[PackageIndex]:
        """Serve a Prefect of one module: an environment with it costs a tenth of one with the real Prefect."""
        with cls.start(host) as index:
            index.publish("prefect", PREFECT, MODULE)
            yield index

    @property
    def settings(self) -> str:
        """The end of a pyproject.toml whose project gets the packages that are here from here."""
        packages = sorted(file.partition("-")[0] for file in self.files)
        own = f'[[tool.uv.index]]\nname = "tests"\nurl = "{self.url}"\nexplicit = true\n[tool.uv.sources]\n'
        return own + "".join(f'{package} = {{ index = "tests" }}\n' for package in packages)

    def publish(self, name: str, version: str, code: str, module: str = "") -> str:
        """Publish a wheel with one module, by default of the package's name, and return the wheel's file name."""
        filename = f"{name}-{version}-py3-none-any.whl"
        self.files[filename] = _wheel(name, version, code, module or name)
        return filename


def _wheel(name: str, version: str, code: str, module: str) -> bytes:
    info = f"{name}-{version}.dist-info"
    members = {
        f"{module}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in members.items()]
    members[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as wheel:
        for path, text in members.items():
            wheel.writestr(zipfile.ZipInfo(path), text)
    return archive.getvalue()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


class _IndexHandler(Handler):
    """Serves the links of a package at `/simple/<name>/`, and a wheel at `/files/<file>`."""

    files: dict[str, bytes]

    def do_GET(self) -> None:
        """Respond with a page of links or a wheel."""
        if not self.is_authorized():
            return
        *_, kind, name = self.path.strip("/").split("/")
        if kind == "simple":
            self._answer_page(name)
        elif name in self.files:
            self.answer(self.files[name], "application/octet-stream")
        else:
            self.answer(b"", "text/plain", HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET

    def _answer_page(self, project: str) -> None:
        links = [
            f'<a href="/files/{name}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a>'
            for name, content in self.files.items()
            if name.partition("-")[0].replace("_", "-") == project
        ]
        status = HTTPStatus.OK if links else HTTPStatus.NOT_FOUND
        self.answer("\n".join(["<!DOCTYPE html>", *links]).encode(), "text/html", status)
