"""Names of images, as engines read them."""

from __future__ import annotations

import pytest

from prefect_uv.errors import UsageError
from prefect_uv.registry.image_reference import ImageReference

DIGEST = f"sha256:{'0' * 64}"
HUB = "https://registry-1.docker.io/v2"
NAMES = {
    "registry.example.com/team/etl": ("https://registry.example.com/v2/team/etl", "", ""),
    "registry.example.com:5000/etl:1.0": ("https://registry.example.com:5000/v2/etl", "1.0", ""),
    f"ghcr.io/team/etl:main@{DIGEST}": ("https://ghcr.io/v2/team/etl", "main", DIGEST),
    f"ghcr.io/team/etl@{DIGEST}": ("https://ghcr.io/v2/team/etl", "", DIGEST),
    "localhost/etl": ("http://localhost/v2/etl", "", ""),
    "localhost:5000/etl": ("http://localhost:5000/v2/etl", "", ""),
    "127.0.0.1:5000/etl": ("http://127.0.0.1:5000/v2/etl", "", ""),
    "[::1]:5000/etl": ("http://[::1]:5000/v2/etl", "", ""),
    "127.0.0.1.example.com/etl": ("https://127.0.0.1.example.com/v2/etl", "", ""),
    "localhost.example.com/etl": ("https://localhost.example.com/v2/etl", "", ""),
    "team/etl:main": (f"{HUB}/team/etl", "main", ""),
    "etl": (f"{HUB}/library/etl", "", ""),
}
WRONG = (
    "",
    "registry.example.com/",
    "registry.example.com/Team/etl",
    "registry.example.com/etl:",
    "registry.example.com/etl:a b",
    "registry.example.com/../etl",
    "registry.example.com/etl@sha256:0",
    "registry.example.com/etl@",
    "https://registry.example.com/etl",
    "user:password@registry.example.com/etl",
    "oci:",
    "oci:x@",
)


@pytest.mark.parametrize("name", NAMES)
def test_name_of_an_image(name: str) -> None:
    """The registry, its scheme, the tag and the digest; plain http is for the own machine only."""
    reference = ImageReference.of(name)
    assert (reference.url, reference.tag, reference.digest) == NAMES[name]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_name(name: str) -> None:
    """It is refused before anything is built or sent."""
    with pytest.raises(UsageError, match="is not the name of an image"):
        ImageReference.of(name)


@pytest.mark.parametrize(("name", "tag"), [("oci:/a/b", ""), ("oci:b:main", "main"), (f"oci:/a:b/c@{DIGEST}", "")])
def test_directory(name: str, tag: str) -> None:
    """A directory in the OCI layout, by the words that other tools use for it."""
    reference = ImageReference.of(name)
    assert (reference.registry, reference.tag, str(reference)) == ("", tag, name)
