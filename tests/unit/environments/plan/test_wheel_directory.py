"""The locked versions are found in a directory of wheels, even if file names spell them differently."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.errors import OfflinePackageMissingError
from tests.unit.etl import Etl, sync
from tests.unit.wheels import build_wheel


def test_version_that_is_not_normalized(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """2024.01.02 in a file's name is 2024.1.2 in the lock; a file that is not a wheel is ignored."""
    build_wheel(etl.wheels, "Calendar.Days", "2024.01.02", {"days.py": ""})
    (etl.wheels / "not-a-wheel.whl").write_text("")
    etl.write("prefect", "calendar-days")
    etl.lock()
    made = sync(make_store(PREFECT_UV_WHEELS=str(etl.wheels)), etl)
    assert installed_versions(made.path).keys() == {"prefect", "calendar-days"}


def test_missing_version_is_named(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """A locked version without a wheel is an error that names it, before anything is installed."""
    build_wheel(etl.wheels, "days", "2024.01.02", {"days.py": ""})
    etl.write("prefect", "days")
    etl.lock()
    (etl.wheels / "days-2024.01.02-py3-none-any.whl").rename(etl.wheels / "days-2024.01.03-py3-none-any.whl")
    with pytest.raises(OfflinePackageMissingError) as caught:
        sync(make_store(PREFECT_UV_WHEELS=str(etl.wheels)), etl)
    assert "days 2024.1.2" in caught.value.found


def test_wheel_in_the_repository_of_a_member(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """A member's own wheel is found: its path in `uv export` (uv 0.13.8) is relative to the workspace root."""
    member = etl.directory / "packages" / "member"
    build_wheel(member / "vendor", "days", "1.0", {"days.py": ""})
    etl.write("prefect")
    root = etl.directory / "pyproject.toml"
    root.write_text(f'{root.read_text()}\n[tool.uv.workspace]\nmembers = ["packages/*"]\n')
    (member / "pyproject.toml").write_text(
        '[project]\nname = "member"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["days", "prefect"]\n'
        '[tool.uv.sources]\ndays = { path = "vendor/days-1.0-py3-none-any.whl" }\n'
    )
    etl.lock()
    made = sync(make_store(PREFECT_UV_WHEELS=str(etl.wheels), PREFECT_UV_PACKAGE="member"), etl)
    assert installed_versions(made.path).keys() == {"prefect", "days"}
