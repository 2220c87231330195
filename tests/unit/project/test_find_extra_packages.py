"""Where the extra packages of a deployment come from."""

from __future__ import annotations

import pytest

from prefect_uv.errors import RequirementsMissingError
from prefect_uv.project import ExtraPackages, find_extra_packages
from prefect_uv.settings import Settings
from tests.unit.checkouts import Checkout, MakeCheckout


@pytest.fixture
def checkout(pulled: MakeCheckout) -> Checkout:
    """A locked project with a requirements-extras.txt, and another one next to a flow in a subdirectory."""
    return pulled("extras").lock()


def extra_packages(checkout: Checkout, entrypoint: str, *variable_packages: str, **variables: str) -> ExtraPackages:
    """The extra packages of a deployment, with job variables and the packages of a Prefect Variable."""
    settings = Settings.from_environ({f"PREFECT_UV_{name.upper()}": value for name, value in variables.items()})
    return find_extra_packages(checkout.directory, checkout.look(entrypoint), settings, variable_packages)


def test_file_in_the_project_is_found(checkout: Checkout) -> None:
    """A requirements-extras.txt next to the flow is used without any setting."""
    found = extra_packages(checkout, "flows.py:hello")
    assert found.files == (checkout.directory / "requirements-extras.txt",)
    assert found.summary == "extra packages: requirements-extras.txt"


def test_nearest_file_is_used_alone(checkout: Checkout) -> None:
    """The file in the flow's own directory replaces the one further up."""
    found = extra_packages(checkout, "flows/daily.py:hello")
    assert found.files == (checkout.directory / "flows" / "requirements-extras.txt",)
    assert found.summary == "extra packages: flows/requirements-extras.txt"


def test_packages_and_files_are_combined(checkout: Checkout) -> None:
    """The packages of the settings and of the Variable are added up; named files replace the nearest one."""
    found = extra_packages(
        checkout,
        "flows.py:hello",
        "gadget",
        extra_packages="trinket==1.0 bauble",
        extra_requirements="flows/*.txt",
    )
    assert found.requirements == ("trinket==1.0", "bauble", "gadget")
    assert found.files == (checkout.directory / "flows" / "requirements-extras.txt",)
    assert found.summary == "extra packages: trinket==1.0, bauble, gadget, flows/requirements-extras.txt"


def test_no_extra_packages(pulled: MakeCheckout) -> None:
    """Without any, the result is false and the log has no line."""
    found = extra_packages(pulled("plain").lock(), "flows.py:hello", extra_packages="")
    assert not found
    assert found.summary == ""


def test_named_file_is_missing(checkout: Checkout) -> None:
    """The error lists the files that exist."""
    with pytest.raises(RequirementsMissingError) as caught:
        extra_packages(checkout, "flows.py:hello", extra_requirements="extras/daily.txt")
    assert checkout.text(caught.value) == (
        """error[requirements-missing]: PREFECT_UV_EXTRA_REQUIREMENTS names extras/daily.txt, but /code has no such \
file.

It has requirements-extras.txt.

hint: Correct the job variable; its paths are relative to the pulled directory."""
    )
