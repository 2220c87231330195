"""uv writes a pylock.toml, `Pylock` reads, filters and writes it, and uv reads it again."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from prefect_uv.environments.plan.pylock import Pylock
from prefect_uv.errors import HashMismatchError, SyncError
from prefect_uv.project.files.requirement_lines import parse_requirements
from tests.unit.conftest import Origin
from tests.unit.http_server import Answer, Server
from tests.unit.wheels import build_wheel

HEAD = 'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = ">=3.11"\n'
PREVIEW = ("--preview-features", "pylock")
PROJECT = '[project]\nname = "{}"\nversion = "{}"\n[build-system]\nrequires = []\nbuild-backend = "none"\n'


def entry(name: str, rest: str) -> str:
    """A package of a pylock.toml."""
    return f'\n[[packages]]\nname = "{name}"\n{rest}\n'


def file(kind: str, name: str, sha256: str = "aa") -> str:
    """A file of a package."""
    return f'{kind} = {{ url = "https://index.invalid/{name}", hashes = {{ sha256 = "{sha256}" }} }}'


WHEELS = 'version = "1.0"\nwheels = [{{ url = "https://index.invalid/{}", hashes = {{ sha256 = "aa" }} }}]'


def uv(*words: str, cwd: Path) -> str:
    """Run uv and return what it prints."""
    command = ["uv", *words, "--python", sys.executable, "--cache-dir", str(cwd / "cache")]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=60).stdout


def sdist(path: Path, name: str, version: str) -> bytes:
    """A source distribution whose metadata is static."""
    texts = {
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": PROJECT.format(name, version),
    }
    with tarfile.open(path, "w:gz") as archive:
        for member, text in texts.items():
            info = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{member}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path.read_bytes()


@pytest.mark.uv
def test_what_uv_writes_is_read_and_read_back(tmp_path: Path, server: Server, origin: Origin) -> None:
    """Wheels, an archive, a repository, a directory, markers, and an sdist whose name only uv understands."""
    wheel = build_wheel(tmp_path / "wheels", "trinket", "1.0", {"trinket.py": ""})
    archive = build_wheel(tmp_path, "bauble", "1.0", {"bauble.py": ""})
    source = sdist(tmp_path / "old-1.0-beta.tar.gz", "old", "1.0b0")
    origin.commit("pyproject.toml", PROJECT.format("flows", "1.0"))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1.0"\n')
    html = {"Content-Type": "text/html"}
    server.on("GET /api/old/", Answer(body=b"<a href='old-1.0-beta.tar.gz'>old-1.0-beta.tar.gz</a>", headers=html))
    server.on("GET /api/old/old-1.0-beta.tar.gz", Answer(body=source))
    lines = f"trinket ; python_version > '3'\nbauble @ file://{archive}\nflows @ git+{origin.url}\nold>=1.0b0\n./lib\n"
    (tmp_path / "requirements.in").write_text(lines)
    options = ("--universal", "--default-index", server.url, "--find-links", str(wheel.parent), *PREVIEW)
    text = uv("pip", "compile", "-q", "--format", "pylock.toml", *options, "requirements.in", cwd=tmp_path)
    lock = Pylock.read(text, tmp_path)
    assert lock.names == {"trinket", "bauble", "flows", "old", "lib"}
    kept = lock.without_directories()
    versions = {name: package.version for name, package in kept.packages().items()}
    assert versions == {"trinket": "1.0", "bauble": "1.0", "flows": "1.0", "old": "1.0b0"}
    kept.write(tmp_path / "pylock.toml")
    options = ("--dry-run", "--output-format", "json", "--target", "empty", *PREVIEW)
    plan = json.loads(uv("pip", "install", *options, "-r", "pylock.toml", cwd=tmp_path))
    assert {change["name"] for change in plan["changes"]} == versions.keys()


@pytest.mark.parametrize(
    ("text", "digested"),
    [
        (WHEELS.format("a-1.0-py3-none-any.whl"), ["sha256:aa"]),
        (f'version = "1.0"\n{file("sdist", "a-1.0.zip", "bb")}', ["sha256:bb"]),
        (f'version = "1.0b0"\n{file("sdist", "a-1.0-beta.tar.gz")}', ["sha256:aa"]),
        (file("archive", "anything"), ["sha256:aa"]),
        ('vcs = { type = "git", url = "https://git.invalid/a", commit-id = "c0ffee" }', ["c0ffee"]),
        (
            'vcs = { type = "git", url = "https://git.invalid/a", commit-id = "c0ffee", subdirectory = "lib" }',
            ["c0ffee", "lib"],
        ),
    ],
)
def test_keys_of_packages_stay(text: str, digested: list[str], tmp_path: Path) -> None:
    """A package's part of the key never changes, so no new library makes us build an environment again."""
    (package,) = Pylock.read(HEAD + entry("a", text), tmp_path).packages().values()
    hasher = hashlib.sha256()
    for part in digested:
        hasher.update(b"%d:%s" % (len(part), part.encode()))
    assert package.source == hasher.hexdigest()


def test_relative_archive(tmp_path: Path) -> None:
    """The path of a local archive becomes absolute, because the file is written to another directory."""
    text = HEAD + entry("a", 'archive = { path = "vendor/a-1.0-py3-none-any.whl", hashes = { sha256 = "aa" } }')
    Pylock.read(text, tmp_path / "project").write(tmp_path / "pylock.toml")
    written = tomllib.loads((tmp_path / "pylock.toml").read_text())
    assert written["packages"][0]["archive"]["path"] == str(tmp_path / "project" / "vendor" / "a-1.0-py3-none-any.whl")


def test_no_packages(tmp_path: Path) -> None:
    """Requirements may resolve to no package."""
    assert Pylock.read(f"{HEAD}packages = []\n", tmp_path).packages() == {}


def test_only_accepted_files_are_kept(tmp_path: Path) -> None:
    """Only the files whose hash a requirement names are kept; a package without such a file is refused."""
    wheels = 'wheels = [{ url = "https://index.invalid/a-1.0-py3-none-any.whl", hashes = { sha256 = "bb" } }]'
    lock = Pylock.read(HEAD + entry("a", f'version = "1.0"\n{file("sdist", "a-1.0.tar.gz")}\n{wheels}'), tmp_path)
    lock.accepting(parse_requirements("a==1.0 --hash=sha256:bb"), hashed=True).write(tmp_path / "pylock.toml")
    (written,) = tomllib.loads((tmp_path / "pylock.toml").read_text())["packages"]
    assert written.keys() == {"name", "version", "wheels"}
    with pytest.raises(HashMismatchError):
        lock.accepting(parse_requirements("a==1.0 --hash=sha256:cc"), hashed=False)


def test_another_form_is_refused(tmp_path: Path) -> None:
    """uv's support is a preview: if uv ever writes another format, we refuse it instead of guessing."""
    with pytest.raises(SyncError, match="is not a pylock") as caught:
        Pylock.read(HEAD + entry("a", 'version = "1.0"\nwheels = [{ url = "https://index.invalid/a" }]'), tmp_path)
    assert "wheels" in caught.value.found
