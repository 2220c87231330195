"""What one deployment wants beside its project."""

from __future__ import annotations

import pytest

from prefect_uv.errors import RequirementsMissingError
from prefect_uv.project import ExtraPackages, find_extra_packages
from prefect_uv.settings import Settings
from tests.unit.checkouts import Checkout, MakeCheckout


@pytest.fixture
def checkout(pulled: MakeCheckout) -> Checkout:
    """A locked project with requirements-extras.txt, and another one beside a flow."""
    return pulled("extras").lock()


def found(checkout: Checkout, entrypoint: str, *more: str, **variables: str) -> ExtraPackages:
    """The extras of a deployment."""
    settings = Settings.from_environ({f"PREFECT_UV_{name.upper()}": value for name, value in variables.items()})
    return find_extra_packages(checkout.directory, checkout.look(entrypoint), settings, more)


def test_file_in_the_project_is_found(checkout: Checkout) -> None:
    """By its name."""
    wanted = found(checkout, "flows.py:hello")
    assert wanted.files == (checkout.directory / "requirements-extras.txt",)
    assert wanted.summary == "extra packages: requirements-extras.txt"


def test_file_beside_the_flow_counts_more(checkout: Checkout) -> None:
    """The nearest one alone."""
    wanted = found(checkout, "flows/daily.py:hello")
    assert wanted.files == (checkout.directory / "flows" / "requirements-extras.txt",)
    assert wanted.summary == "extra packages: flows/requirements-extras.txt"


def test_everything_together(checkout: Checkout) -> None:
    """Packages of the settings and of a Prefect Variable, and named files instead of the one that is found."""
    wanted = found(
        checkout,
        "flows.py:hello",
        "gadget",
        extra_packages="trinket==1.0 bauble",
        extra_requirements="flows/*.txt",
    )
    assert wanted.requirements == ("trinket==1.0", "bauble", "gadget")
    assert wanted.files == (checkout.directory / "flows" / "requirements-extras.txt",)
    assert wanted.summary == "extra packages: trinket==1.0, bauble, gadget, flows/requirements-extras.txt"


def test_nothing(pulled: MakeCheckout) -> None:
    """No extras are no extras, and there is nothing to say."""
    wanted = found(pulled("plain").lock(), "flows.py:hello", extra_packages="")
    assert not wanted
    assert wanted.summary == ""


def test_file_that_is_named_and_not_there(checkout: Checkout) -> None:
    """In full, with what there is."""
    with pytest.raises(RequirementsMissingError) as caught:
        found(checkout, "flows.py:hello", extra_requirements="extras/daily.txt")
    assert checkout.text(caught.value) == (
        """error[requirements-missing]: PREFECT_UV_EXTRA_REQUIREMENTS names extras/daily.txt, but /code has no such \
file.

It has requirements-extras.txt.

hint: Correct the job variable; its paths are relative to the pulled directory."""
    )
