"""The mistakes in tests/projects that uv or the store finds: full error texts."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from prefect_uv.bake.image_layer import bake
from prefect_uv.environments import EnvironmentStore
from prefect_uv.errors import PrefectUvError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import find_extra_packages, find_project
from prefect_uv.session import Session
from tests.pins import PREFECT, UV
from tests.unit.checkouts import Checkout, MakeCheckout
from tests.unit.etl import HTML
from tests.unit.http_server import Answer, Server
from tests.unit.wheels import build_wheel

INDEX = "http://index.invalid/simple"
PINNED = f'"prefect=={PREFECT}"'
LOCK = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
TRINKET = "trinket-1.0-py3-none-any.whl"
COMMAND = "`uv --no-progress --color never"
EXPORT = (
    f"{COMMAND} export --locked --project /code --no-dev --python PYTHON --no-header --no-annotate` exited with code"
)
SYNC = (
    f"{COMMAND} sync --frozen --project /code --no-dev --no-install-package local-index --python PYTHON"
    " --link-mode hardlink` exited with code"
)
INSTALL = (
    f"{COMMAND} pip install --dry-run --output-format json --python /environment/bin/python -c /private/constraints.in"
    " -r /code/requirements-extras.txt` exited with code"
)
REPLACEMENTS = (
    (r"/[^` ]*/prefect-uv-extras-\w+/", "/private/"),
    (r"/[^` ]*/cache/envs/v1/[0-9a-f]{64}", "/environment"),
    (r"in [\d.]+m?s\b", "in 1ms"),
    (r"(?m)^ +$", ""),
    (r"sha256:[0-9a-f]{64}", "sha256:…"),
    (r"(ask for|allow) 3\.\d+", r"\1 3.X"),
)


@dataclass(frozen=True)
class Start:
    """A start in a checkout, whose error texts are the same on every machine."""

    image: Image
    make_store: Callable[..., EnvironmentStore]
    server: Server

    def refusal(self, checkout: Checkout, **variables: str) -> str:
        """The full text of the error in which the start ends."""
        store = self.make_store(**variables)
        with pytest.raises(PrefectUvError) as caught:
            _obtain_environment(checkout.directory, store)
        text = checkout.text(caught.value).replace(self.server.url, "http://index")
        for pattern, replacement in REPLACEMENTS:
            text = re.sub(pattern, replacement, text)
        return text.replace(self.image.python, "PYTHON").replace(platform.python_version(), "3.X.Y")


def _obtain_environment(directory: Path, store: EnvironmentStore) -> None:
    project = find_project(directory, "flows.py:hello", store.settings)
    store.extend(store.environment(project), find_extra_packages(directory, project, store.settings), project)


@pytest.fixture
def start(this_image: Image, make_store: Callable[..., EnvironmentStore], server: Server) -> Start:
    """Starts on an empty cache volume."""
    return Start(this_image, make_store, server)


@pytest.fixture
def pulled_with_wheels(pulled: MakeCheckout, wheels: Path, tmp_path: Path) -> MakeCheckout:
    """Checkouts next to a directory of wheels, one of which needs a version that no project has locked."""
    shutil.copytree(wheels, tmp_path / "wheels")
    build_wheel(tmp_path / "wheels", "gadget", "1.0", {}, ["trinket>=2"])
    (tmp_path / "uv.toml").write_text(f'no-index = true\nfind-links = ["{tmp_path}/wheels"]\n')
    return replace(pulled, wheels=tmp_path / "wheels")


@pytest.fixture
def indexed(pulled: MakeCheckout, server: Server) -> Callable[[str], Checkout]:
    """Makes checkouts that are locked with an index over HTTP."""

    def make(name: str) -> Checkout:
        checkout = pulled(name)
        path = checkout.directory / "pyproject.toml"
        path.write_text(path.read_text().replace(INDEX, server.url))
        for package, file in (("prefect", f"prefect-{PREFECT}-py3-none-any.whl"), ("trinket", TRINKET)):
            wheel = (checkout.wheels / file).read_bytes()
            link = f"<a href='{file}#sha256={hashlib.sha256(wheel).hexdigest()}'>{file}</a>"
            server.on(f"GET /api/{package}/", Answer(body=link.encode(), headers=HTML))
            server.on(f"GET /api/{package}/{file}", Answer(body=wheel))
        command = ["uv", "lock", "--quiet", "--python", sys.executable, "--no-cache", "--default-index", server.url]
        subprocess.run(command, cwd=checkout.directory, check=True, timeout=30)
        return checkout

    return make


def test_stale_lock(start: Start, pulled_with_wheels: MakeCheckout, tmp_path: Path) -> None:
    """A dependency was added after `uv lock`: the hint has both remedies."""
    checkout = pulled_with_wheels("stale-lockfile").lock()
    path = checkout.directory / "pyproject.toml"
    path.write_text(path.read_text().replace(PINNED, f'{PINNED}, "trinket"'))
    text = start.refusal(checkout, UV_CONFIG_FILE=str(tmp_path / "uv.toml"))
    assert text.replace(" --no-emit-package stale-lockfile", "") == (
        f"""error[lockfile-stale]: The lockfile no longer matches pyproject.toml or the script.

{EXPORT} 1:
    Using CPython 3.X.Y interpreter at: PYTHON
    Resolved 3 packages in 1ms
    error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.

    hint: To update the lockfile, run `uv lock`.

hint: Run `uv lock` (`uv lock --script FILE` for a script), commit the lockfile, and push; or set \
PREFECT_UV_LOCK=frozen to install what the lockfile says."""  # noqa: S608 (no SQL)
    )


@pytest.mark.parametrize(
    ("project", "lock", "text"),
    [
        (
            "required-version",
            LOCK,
            f"""error[project-invalid]: The project needs a different uv than the image has.

{EXPORT} 2:
    error: Required uv version `>=99` does not match the running version `{UV}`. Update `uv` by running `uv self \
update`.

hint: Use an image with that uv; or lock with the image's uv, and allow it in `required-version`.""",
        ),
        (
            "plain",
            LOCK.replace("version = 1", "version = 99"),
            f"""error[project-invalid]: The project needs a different uv than the image has.

{EXPORT} 2:
    Using CPython 3.X.Y interpreter at: PYTHON
    error: The lockfile at `uv.lock` uses an unsupported schema version (v99, but only v1 is supported). Downgrade to \
a compatible uv version, or remove the `uv.lock` prior to running `uv lock` or `uv sync`.

hint: Use an image with that uv; or lock with the image's uv, and allow it in `required-version`.""",
        ),
        (
            "plain",
            f"<<<<<<< HEAD\n{LOCK}=======\n>>>>>>> main\n",
            f"""error[project-invalid]: uv cannot read the project's files.

{EXPORT} 2:
    Using CPython 3.X.Y interpreter at: PYTHON
    error: Failed to parse `uv.lock`
      cause: TOML parse error at line 1, column 9
               |
             1 | <<<<<<< HEAD
               |         ^
             key with no value, expected `=`

hint: Run `uv lock --check` in the project and fix what it reports.""",
        ),
    ],
    ids=["required-version", "newer-lock", "conflict-markers"],
)
def test_lock_that_uv_cannot_use(start: Start, pulled: MakeCheckout, project: str, lock: str, text: str) -> None:
    """The lock is of another uv, or in the middle of a merge."""
    checkout = pulled(project)
    checkout.write("uv.lock", lock)
    assert start.refusal(checkout) == text


def test_python_that_the_project_contradicts(start: Start, pulled: MakeCheckout) -> None:
    """`.python-version` and requires-python contradict each other."""
    checkout = pulled("future-python")
    checkout.write("uv.lock", LOCK.replace("3.11", "3.99"))
    assert start.refusal(checkout) == (
        """error[python-missing]: .python-version asks for Python 3, but future-python requires >=3.99.

PYTHON is Python 3.X.Y.

hint: Change .python-version or requires-python; then run `uv lock`, commit and push."""
    )


def test_python_that_does_not_exist(start: Start, pulled: MakeCheckout) -> None:
    """requires-python asks for a Python that is not available."""
    checkout = pulled("future-python")
    checkout.write("uv.lock", LOCK.replace("3.11", "3.99"))
    (checkout.directory / ".python-version").unlink()
    assert start.refusal(checkout, UV_PYTHON_DOWNLOADS="never") == (
        """error[python-missing]: requires-python of future-python asks for Python >=3.99, which is not available here.

The image unit has Python 3.X.Y. Nothing was downloaded: UV_PYTHON_DOWNLOADS=never does not allow it.

hint: Build an image that has it (Dockerfile.py312 with PYTHON_VERSION); or let uv download it, from a mirror if \
necessary (UV_PYTHON_DOWNLOADS, UV_PYTHON_INSTALL_MIRROR); or let requires-python allow 3.X, which the image has, \
and lock again."""
    )


def test_package_that_is_gone(start: Start, indexed: Callable[[str], Checkout]) -> None:
    """The index no longer has the locked file."""
    checkout = indexed("local-index")
    start.server.on(f"GET /api/trinket/{TRINKET}", Answer(404))
    assert start.refusal(checkout, UV_DEFAULT_INDEX=start.server.url) == (
        f"""error[package-not-found]: A package is not on the index.

{SYNC} 1:
    error: Failed to download `trinket==1.0`
      cause: Failed to fetch: http://index/trinket/trinket-1.0-py3-none-any.whl
      cause: HTTP status client error (404 Not Found) for url (http://index/trinket/trinket-1.0-py3-none-any.whl)

    hint: `trinket` (v1.0) was included because `local-index` (v1.0.0) depends on `trinket`

hint: Check its name, UV_DEFAULT_INDEX and UV_INDEX; if it was locked with another index, run `uv lock` again."""
    )


def test_package_that_was_changed(start: Start, indexed: Callable[[str], Checkout], tmp_path: Path) -> None:
    """The index has another file with the locked name."""
    checkout = indexed("local-index")
    wheel = build_wheel(tmp_path / "other", "trinket", "1.0", {"trinket.py": "SAYS = 'clank'\n"})
    start.server.on(f"GET /api/trinket/{TRINKET}", Answer(body=wheel.read_bytes()))
    assert start.refusal(checkout, UV_DEFAULT_INDEX=start.server.url) == (
        f"""error[hash-mismatch]: A downloaded package is not the one in the lockfile.

{SYNC} 1:
    error: Failed to download `trinket==1.0`
      cause: Hash mismatch for `trinket==1.0`

             Expected:
               sha256:…

             Computed:
               sha256:…

    hint: `trinket` (v1.0) was included because `local-index` (v1.0.0) depends on `trinket`

hint: If it was rebuilt on purpose, lock it again (`uv lock --upgrade-package NAME`); if not, find out why."""
    )


def test_package_that_is_missing_offline(start: Start, indexed: Callable[[str], Checkout]) -> None:
    """The volume is empty, and there is no network."""
    assert start.refusal(indexed("plain"), UV_DEFAULT_INDEX=start.server.url, PREFECT_UV_OFFLINE="true") == (
        f"""error[offline-missing]: No index may be used, and neither uv's cache nor the wheel directory has \
prefect=={PREFECT}.

{SYNC.replace("local-index", "plain")} 1:
    error: Failed to download `prefect=={PREFECT}`
      cause: Network connectivity is disabled, but the requested data wasn't found in the cache: \
http://index/prefect/prefect-{PREFECT}-py3-none-any.whl

    hint: `prefect` (v{PREFECT}) was included because `plain` (v1.0.0) depends on `prefect`

hint: Warm the volume with `prefect-uv sync` where there is a network; or put the wheels into a directory and set \
PREFECT_UV_WHEELS."""
    )


@pytest.mark.parametrize(
    ("project", "text"),
    [
        (
            "extras-conflict",
            f"""error[extras-conflict]: gadget cannot be added: the environment has trinket 1.0.

{INSTALL} 1:
    Using Python 3.X.Y environment at: /environment
    error: No solution found when resolving dependencies
      cause: Because all versions of gadget depend on trinket>=2 and trinket==1.0, we can conclude that all versions \
of gadget cannot be used.
             And because you require gadget==1.0, we can conclude that your requirements are unsatisfiable.

hint: Choose another version of the extra package; or add it to the project with `uv add`, so that both are locked \
together, then commit and push.""",
        ),
        (
            "extras-unknown",
            f"""error[unresolvable]: No versions of the requirements fit together.

{INSTALL} 1:
    Using Python 3.X.Y environment at: /environment
    error: No solution found when resolving dependencies
      cause: Because no-such-package was not found in the provided package locations and you require \
no-such-package==1.0, we can conclude that your requirements are unsatisfiable.

hint: Change the requirements as uv's report says; for a package that is on another index, set UV_INDEX.""",
        ),
    ],
)
def test_extra_packages(
    start: Start, pulled_with_wheels: MakeCheckout, tmp_path: Path, project: str, text: str
) -> None:
    """requirements-extras.txt names a package that conflicts with the lock, or does not exist.

    uv's report is not wrapped in a narrow terminal either: prefect-uv reads it.
    """
    checkout = pulled_with_wheels(project).lock()
    assert start.refusal(checkout, UV_CONFIG_FILE=str(tmp_path / "uv.toml"), COLUMNS="40") == text


def test_baked_environment_that_does_not_fit(
    start: Start, pulled_with_wheels: MakeCheckout, log: RunLog, tmp_path: Path
) -> None:
    """A dependency was locked after the image was built, and only baked environments may be used."""
    checkout = pulled_with_wheels("plain").lock()
    (tmp_path / "baked").mkdir()
    variables = {"UV_CONFIG_FILE": str(tmp_path / "uv.toml"), "PREFECT_UV_BAKED_DIR": str(tmp_path / "baked")}
    with contextlib.chdir(checkout.directory):
        assert bake(Session(start.make_store(**variables).settings, log)) == 0
    path = checkout.directory / "pyproject.toml"
    path.write_text(path.read_text().replace(PINNED, f'{PINNED}, "trinket"'))
    text = start.refusal(checkout.lock(), **variables, PREFECT_UV_BAKED="refuse")
    assert re.sub(r"[0-9a-f]{12}", "KEY", text) == (
        """error[baked-mismatch]: No environment baked into the image fits plain.

baked environment KEY does not fit: + trinket 1.0

hint: Rebuild the image from this commit, so that `RUN prefect-uv bake` sees its lockfile, or export the environment \
again; or run the code that the image was baked for; or set PREFECT_UV_BAKED=build."""
    )
