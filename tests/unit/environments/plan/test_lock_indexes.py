"""A real uv and indexes on this machine: pip's indexes make no good lock stale, and credentials work in every form."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.errors import IndexUnreachableError, LockfileStaleError, PrefectUvError
from prefect_uv.project import ExtraPackages, find_project
from tests.unit.etl import HTML, WHEEL, Etl, unlocked
from tests.unit.http_server import Answer, Request, Server, running_server

MakeStore = Callable[..., EnvironmentStore]
PASSWORD = "p@ss/w:rd"  # noqa: S105 (planted, to look for it)
USERINFO = "bot:p%40ss%2Fw%3Ard@"
BASIC = "Basic Ym90OnBAc3MvdzpyZA=="


SECRETS = (PASSWORD, USERINFO.removeprefix("bot:").removesuffix("@"), BASIC.partition(" ")[2])


def revealing(folder: Path) -> list[Path]:
    """The files that contain the password, in any form."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(secret.encode() in path.read_bytes() for secret in SECRETS)]


def guarded(answer: Answer, authorization: str) -> Callable[[Request], Answer]:
    """An answer that requires the authorization, if it is not empty."""
    refusal = Answer(401, {}, {"WWW-Authenticate": 'Basic realm="tests"'})
    return lambda request: (
        answer if not authorization or request.headers.get("authorization") == authorization else refusal
    )


def serve_prefect(index: Server, etl: Etl, authorization: str = "", prefix: str = "/api/") -> None:
    """Make a server an index with the made-up Prefect, behind the authorization if it is not empty."""
    wheel = (etl.wheels / WHEEL).read_bytes()
    link = f"<a href='{WHEEL}#sha256={hashlib.sha256(wheel).hexdigest()}'>{WHEEL}</a>"
    index.on(f"GET {prefix}prefect/", guarded(Answer(body=link.encode(), headers=HTML), authorization))
    index.on(f"GET {prefix}prefect/{WHEEL}", guarded(Answer(body=wheel), authorization))


@pytest.fixture
def index(etl: Etl) -> Iterator[Server]:
    """The index that the project is locked with."""
    with running_server() as running:
        serve_prefect(running, etl)
        yield running


@pytest.fixture
def other(etl: Etl) -> Iterator[Server]:
    """Another index with the same package."""
    with running_server() as running:
        serve_prefect(running, etl)
        yield running


@pytest.fixture
def locked(etl: Etl, index: Server, tmp_path: Path) -> Etl:
    """A project that names no index, locked with one from a variable, as in many companies."""
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text().partition("[tool.uv]")[0])
    lock(etl, tmp_path, UV_DEFAULT_INDEX=index.url)
    return etl


def lock(etl: Etl, tmp_path: Path, **variables: str) -> None:
    """Lock the project with these variables."""
    command = ["uv", "lock", "--quiet", "--python", sys.executable, "--cache-dir", str(tmp_path / "uv")]
    environ = {**os.environ, "UV_HTTP_RETRIES": "0", **variables}
    subprocess.run(command, cwd=etl.directory, env=environ, check=True, timeout=20)


def environment(store: EnvironmentStore, etl: Etl) -> Environment:
    """The environment of the project, as a start gets it."""
    return store.environment(find_project(etl.directory, None, store.settings))


def elsewhere(name: str, other: Server, etl: Etl) -> str:
    """A value for a variable, other than what the lock names."""
    return str(etl.wheels) if name.endswith("FIND_LINKS") else other.url


@pytest.mark.parametrize("pip", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"])
def test_good_lock_is_not_stale_with_another_index_of_pip(
    locked: Etl, other: Server, make_store: MakeStore, pip: str
) -> None:
    """The other index gets no request: the files come from where the lock says."""
    other.requests.clear()
    assert environment(make_store(**{pip: elsewhere(pip, other, locked)}), locked).path.is_dir()
    assert other.requests == []


@pytest.mark.parametrize("uv", ["UV_DEFAULT_INDEX", "UV_INDEX"])
def test_lock_is_refused_with_another_index_of_uv(locked: Etl, other: Server, make_store: MakeStore, uv: str) -> None:
    """uv's rule for its own variables applies unchanged."""
    with pytest.raises((LockfileStaleError, IndexUnreachableError)):
        environment(make_store(**{uv: other.url, "UV_HTTP_RETRIES": "0"}), locked)


@pytest.mark.parametrize("address", ["{url}", "{url}/"])
def test_lock_is_accepted_with_its_index_from_pip(
    locked: Etl, index: Server, make_store: MakeStore, address: str
) -> None:
    """Even with a trailing slash, which makes uv itself refuse the lock."""
    assert environment(make_store(PIP_INDEX_URL=address.format(url=index.url)), locked).path.is_dir()


def test_stale_lock_is_refused_with_its_index_from_pip(locked: Etl, index: Server, make_store: MakeStore) -> None:
    """Only the lock's own index is asked, not one that a closed network does not reach."""
    path = locked.directory / "pyproject.toml"
    path.write_text(path.read_text().replace('"0.1.0"', '"0.2.0"'))
    with pytest.raises(LockfileStaleError):
        environment(make_store(PIP_INDEX_URL=index.url), locked)


def test_relock_uses_the_index_of_pip(locked: Etl, other: Server, make_store: MakeStore) -> None:
    """Resolution always uses pip's indexes."""
    path = locked.directory / "pyproject.toml"
    path.write_text(path.read_text().replace('"0.1.0"', '"0.2.0"'))
    assert environment(make_store(PIP_INDEX_URL=other.url, PREFECT_UV_LOCK="relock"), locked).path.is_dir()
    assert f'registry = "{other.url}"' in (locked.directory / "uv.lock").read_text()


@pytest.fixture
def private(etl: Etl, locked: Etl, index: Server, tmp_path: Path) -> Iterator[Server]:
    """The lock's index, behind a password that the lock does not contain."""
    serve_prefect(index, etl, BASIC)
    (locked.directory / "uv.lock").unlink()
    lock(locked, tmp_path, UV_DEFAULT_INDEX=index.url.replace("://", f"://{USERINFO}"))
    assert PASSWORD not in (locked.directory / "uv.lock").read_text()
    index.requests.clear()
    yield index
    assert index.requests, "the index was asked"


def credentials(kind: str, url: str, folder: Path) -> dict[str, str]:
    """The variables for one way to provide the index's credentials."""
    address, file = url.replace("://", f"://{USERINFO}"), folder / "secret"
    named = {"UV_INDEX": f"company={url}", "UV_INDEX_COMPANY_USERNAME": "bot"}
    file.write_text(f"{address if 'URL' in kind or 'INDEX_FILE' in kind else PASSWORD}\n")
    netrc = folder / ".netrc"
    netrc.write_text(f'machine 127.0.0.1 login bot password "{PASSWORD}"\n' if "netrc" in kind else "")
    return {
        "PIP_INDEX_URL": {"PIP_INDEX_URL": address},
        "PIP_EXTRA_INDEX_URL": {"PIP_EXTRA_INDEX_URL": address},
        "PIP_INDEX_URL_FILE": {"PIP_INDEX_URL_FILE": str(file)},
        "PIP_EXTRA_INDEX_URL_FILE": {"PIP_EXTRA_INDEX_URL_FILE": str(file)},
        "UV_DEFAULT_INDEX_FILE": {"UV_DEFAULT_INDEX_FILE": str(file)},
        "UV_INDEX_FILE": {"UV_INDEX_FILE": str(file)},
        "UV_INDEX_URL_FILE": {"UV_INDEX_URL_FILE": str(file)},
        "UV_EXTRA_INDEX_URL_FILE": {"UV_EXTRA_INDEX_URL_FILE": str(file)},
        "password": {**named, "UV_INDEX_COMPANY_PASSWORD": PASSWORD},
        "password from a file": {**named, "UV_INDEX_COMPANY_PASSWORD_FILE": str(file)},
        "netrc by its variable": {"NETRC": str(netrc)},
        "netrc at home": {"HOME": str(folder)},
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_INDEX_URL_FILE",
        "PIP_EXTRA_INDEX_URL_FILE",
        "UV_DEFAULT_INDEX_FILE",
        "UV_INDEX_FILE",
        "UV_INDEX_URL_FILE",
        "UV_EXTRA_INDEX_URL_FILE",
        "password",
        "password from a file",
        "netrc by its variable",
        "netrc at home",
    ],
)
def test_private_index(  # noqa: PLR0913, PLR0917 (fixtures)
    locked: Etl, private: Server, make_store: MakeStore, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every way to provide the password works, and the password is in no file on the volume and in no line."""
    store = make_store(**credentials(kind, private.url, tmp_path))
    store.log.mask.add(*store.settings.secrets())
    store.log.info(f"the password: {PASSWORD} {USERINFO}")
    assert environment(store, locked).path.is_dir()
    shown = capsys.readouterr().err
    assert [secret for secret in SECRETS if secret in shown] == []
    assert revealing(tmp_path / "cache") == []


def serve_helper(index: Server, etl: Etl) -> str:
    """Serve `helper` behind the password; returns the address of its wheel, with the password."""
    name = "helper-1.0-py3-none-any.whl"
    wheel = (etl.wheels / name).read_bytes()
    link = f"<a href='{name}#sha256={hashlib.sha256(wheel).hexdigest()}'>{name}</a>"
    index.on("GET /api/helper/", guarded(Answer(body=link.encode(), headers=HTML), BASIC))
    index.on(f"GET /api/helper/{name}", guarded(Answer(body=wheel), BASIC))
    return f"{index.url.replace('://', f'://{USERINFO}')}/helper/{name}"


@pytest.mark.parametrize("kind", ["PIP_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL_FILE", "address", "file"])
def test_extra_package_from_another_index(
    locked: Etl, other: Server, make_store: MakeStore, kind: str, tmp_path: Path
) -> None:
    """Extra packages use pip's indexes even if the lock check does not; no file contains the password."""
    wheel = serve_helper(other, locked)
    requirements = tmp_path / "requirements-extras.txt"
    requirements.write_text(f"helper @ {wheel}\n")
    direct = {"address": ExtraPackages((f"helper @ {wheel}",)), "file": ExtraPackages(files=(requirements,))}
    store = make_store(**(credentials(kind, other.url, tmp_path) if kind not in direct else {}))
    project = find_project(locked.directory, None, store.settings)
    extras = direct.get(kind, ExtraPackages(("helper==1.0",)))
    environment = store.extend(store.environment(project), extras, project)
    assert installed_versions(environment.path)["helper"] == "1.0"
    assert revealing(tmp_path / "cache") == []


def test_extra_package_that_is_gone(locked: Etl, other: Server, make_store: MakeStore, tmp_path: Path) -> None:
    """The remembered failure does not contain the password either."""
    wheel = serve_helper(other, locked).replace("helper-1.0", "helper-1.1")
    store = make_store(UV_HTTP_RETRIES="0")
    project = find_project(locked.directory, None, store.settings)
    with pytest.raises(PrefectUvError) as caught:
        store.extend(store.environment(project), ExtraPackages((f"helper @ {wheel}",)), project)
    assert [secret for secret in SECRETS if secret in caught.value.render()] == []
    assert revealing(tmp_path / "cache") == []


def test_requirements_from_a_private_index(etl: Etl, index: Server, make_store: MakeStore, tmp_path: Path) -> None:
    """Unlocked requirements are resolved with pip's main index."""
    serve_prefect(index, etl, BASIC)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("prefect\n")
    store = make_store(PIP_INDEX_URL=index.url.replace("://", f"://{USERINFO}"))
    built = store.environment(unlocked(files=[requirements]))
    assert installed_versions(built.path) == {"prefect": "3.8.8"}
    assert revealing(tmp_path / "cache") == []


def test_wrong_password(locked: Etl, private: Server, make_store: MakeStore, tmp_path: Path) -> None:
    """The error does not show it, and other containers do not get the error."""
    wrong = private.url.replace("://", "://bot:wr%40ng-one@")
    store = make_store(PIP_INDEX_URL=wrong, UV_HTTP_RETRIES="0")
    store.log.mask.add(*store.settings.secrets())
    with pytest.raises(IndexUnreachableError) as caught:
        environment(store, locked)
    shown = store.log.mask(caught.value.render())
    assert "wr@ng-one" not in shown
    assert "wr%40ng-one" not in shown
    assert [path for path in (tmp_path / "cache" / "failures").rglob("*") if path.is_file()] == []
