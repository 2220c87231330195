"""Recent failures: a failing build is not repeated by every container, and a build that can succeed does."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.cache_volume import work_lock as lock_module
from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build import recent_failures as failures_module
from prefect_uv.environments.build.recent_failures import RecentFailure
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import IndexUnreachableError, SyncError
from prefect_uv.log.mask import Mask
from prefect_uv.recipe import prepare_flow
from prefect_uv.session import Session
from tests.unit.etl import WHEEL, Etl, environments, leftovers, sync, sync_at_once
from tests.unit.http_server import Answer, Server

DOWN = Answer(500)


@pytest.fixture
def unreachable(etl: Etl, server: Server) -> Server:
    """An index that fails to deliver the wheel."""
    etl.move_to(server)
    server.on(f"GET /api/prefect/{WHEEL}", DOWN)
    return server


def test_failure_is_repeated_without_a_build(
    etl: Etl, unreachable: Server, make_store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a minute, others get the same error with the time of the next attempt; then there is a new attempt."""
    with pytest.raises(IndexUnreachableError) as first:
        sync(make_store(UV_HTTP_RETRIES="0"), etl)
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(body=(etl.wheels / WHEEL).read_bytes()))
    with pytest.raises(IndexUnreachableError) as second:
        sync(make_store(UV_HTTP_RETRIES="0"), etl)
    headline, _, again = second.value.headline.partition(" (Remembered: ")
    assert headline == first.value.headline
    line = r"another container with these settings got this error \d+ s ago; the next attempt is in \d+ s\.\)"
    assert re.fullmatch(line, again)
    assert (first.value.found, first.value.hint) == (second.value.found, second.value.hint)
    monkeypatch.setattr(failures_module, "REMEMBERED_SECONDS", 0)
    assert sync(make_store(), etl).hit is False


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_failure_with_a_wrong_time_is_ignored(
    etl: Etl, unreachable: Server, make_store: Callable[..., EnvironmentStore], cache: Path, seconds: int
) -> None:
    """A failure from the future or from long ago stops nobody."""
    with pytest.raises(IndexUnreachableError):
        sync(make_store(UV_HTTP_RETRIES="0"), etl)
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(body=(etl.wheels / WHEEL).read_bytes()))
    (failure,) = (cache / "failed" / "v1").iterdir()
    then = failure.stat().st_mtime + seconds
    os.utime(failure, (then, then))
    assert sync(make_store(UV_HTTP_RETRIES="0"), etl).hit is False
    assert not failure.exists()


def test_wrong_credentials_are_not_remembered(
    etl: Etl, unreachable: Server, make_store: Callable[..., EnvironmentStore]
) -> None:
    """They concern one container only."""
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(401))
    with pytest.raises(IndexUnreachableError):
        sync(make_store(UV_HTTP_RETRIES="0"), etl)
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(body=(etl.wheels / WHEEL).read_bytes()))
    assert sync(make_store(), etl).hit is False


@pytest.mark.parametrize(
    ("found", "remembered"),
    [
        ("HTTP status server error (500 Internal Server Error) for url (http://i/401/etl-403.whl)", True),
        ("Failed to fetch: `http://i.invalid:403/api/etl.whl`", True),
        ("HTTP status client error (403 Forbidden) for url (http://i/etl.whl)", False),
        ("fatal: unable to access 'https://g/a.git/': The requested URL returned error: 401", False),
    ],
)
def test_number_in_a_path_is_no_status(cache_directory: CacheDirectory, found: str, *, remembered: bool) -> None:
    """Only a status says that credentials were wrong, not a folder, a port or a version with the same number."""
    failure = RecentFailure.of(cache_directory, "key", "inputs", {})
    failure.remember(SyncError("headline", found, "hint"), Mask())
    assert (failure.recall() is not None) is remembered


@pytest.mark.parametrize(
    "corrected",
    [
        {"UV_DEFAULT_INDEX": "https://index.invalid/simple"},
        {"UV_INDEX_PRIVATE_PASSWORD": "hush-hush"},
        {"UV_HTTP_TIMEOUT": "99"},
        {"UV_SYSTEM_CERTS": "1"},
        {"SSL_CERT_FILE": "BUNDLE"},
        {"https_proxy": "http://127.0.0.1:9"},
        {"ALL_PROXY": ""},
        {"NO_PROXY": "127.0.0.1"},
        {"CFLAGS": "-O1"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_corrected_setting_gets_a_new_attempt(
    etl: Etl,
    unreachable: Server,
    make_store: Callable[..., EnvironmentStore],
    tmp_path: Path,
    corrected: dict[str, str],
) -> None:
    """Whoever changes what decides whether the index is reached, or the build works, is not told of an old failure."""
    before = {"UV_HTTP_RETRIES": "0", "ALL_PROXY": "http://127.0.0.1:9", "NO_PROXY": "localhost,127.0.0.1"}
    with pytest.raises(IndexUnreachableError):
        sync(make_store(**before), etl)
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(body=(etl.wheels / WHEEL).read_bytes()))
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    after = {name: value.replace("BUNDLE", str(bundle)) for name, value in corrected.items()}
    assert sync(make_store(**{**before, **after}), etl).hit is False


def test_corrected_file_gets_a_new_attempt(cache_directory: CacheDirectory, tmp_path: Path) -> None:
    """A file that a variable names counts by its content, because it is mounted at the same path."""
    environ = {"SSL_CERT_FILE": str(tmp_path / "ca.pem"), "HOME": str(tmp_path), "HOSTNAME": "a"}

    def path() -> Path:
        return RecentFailure.of(cache_directory, "key", "inputs", environ).path

    paths = [path()]
    for name in ("ca.pem", ".netrc"):
        (tmp_path / name).write_text("corrected")
        paths.append(path())
    environ["HOSTNAME"] = "b"
    assert len({*paths}) == len(paths)
    assert path() == paths[-1]


def test_command_by_hand_tries_again(
    etl: Etl, unreachable: Server, make_store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sync` and `exec` are how somebody finds out what is wrong: they build, whatever is remembered."""
    store = make_store(UV_HTTP_RETRIES="0")
    with pytest.raises(IndexUnreachableError):
        sync(store, etl)
    unreachable.on(f"GET /api/prefect/{WHEEL}", Answer(body=(etl.wheels / WHEEL).read_bytes()))
    monkeypatch.chdir(etl.directory)
    session = Session(store.settings, store.log)
    with session.cleanup:
        assert prepare_flow(session).environment.hit is False


def test_remembered_failure_contains_no_secret(make_store: Callable[..., EnvironmentStore]) -> None:
    """uv prints signed addresses, and a build backend what it likes (uv 0.13.8, observed): the volume keeps neither."""
    failure = RecentFailure.of(make_store().writable().cache, "key", "inputs", {})
    mask = Mask()
    mask.add("hush-hush")
    failure.remember(SyncError("No hush-hush.", "404 for `https://h/x.whl?sig=hidden`, hush-hush", "Try."), mask)
    assert not re.search("hidden|hush", failure.path.read_text())
    repeated = failure.recall()
    assert repeated is not None
    assert repeated.headline.startswith("No ****. (Remembered: ")
    assert repeated.found == "404 for `https://h/x.whl?sig=****`, ****"


def test_double_build_is_harmless(
    etl: Etl, make_store: Callable[..., EnvironmentStore], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If locks do not cross nodes, everybody builds: one rename wins, and all use the result."""
    monkeypatch.setattr(lock_module, "try_lock", lambda *_: True)
    all_builders = threading.Barrier(3)
    create_venv = Uv.create_venv

    def simultaneously(self: Uv, python: str, environment: Path) -> None:
        all_builders.wait(20)
        create_venv(self, python, environment)

    monkeypatch.setattr(Uv, "create_venv", simultaneously)
    built = sync_at_once(make_store, etl, 3)
    assert [environment.path for environment in built] == environments(cache) * 3
    assert leftovers(cache) == []
