"""Examples and test projects pin the versions of images/family.toml, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import pins
from images.family import ROOT, read
from images.upgrade import followed, followers


@pytest.mark.parametrize("path", followers(), ids=lambda path: str(path.relative_to(ROOT)))
def test_project_has_the_pinned_versions(path: Path) -> None:
    """An example or test project that pins a package of the family pins the version that the images are built for."""
    assert followed(path.read_text(), read().pins) == path.read_text()


def test_only_exact_requirements_follow() -> None:
    """Ranges, and packages whose name begins or ends like a pinned one, stay as they are."""
    kept = "my-prefect==3.0 prefect>=3 prefect-aws==0.1"
    text = f'prefect==3.0.0 prefect-client==3.0 {kept} prefect = "3.0" prefect=3.0'
    pins = {"prefect": "==3.9.1", "prefect-client": "==3.9.0"}
    assert followed(text, pins) == f'prefect==3.9.1 prefect-client==3.9.0 {kept} prefect = "3.9.1" prefect=3.9.1'


def test_images_have_the_published_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the images are published, one line of family.toml names them in all pages, and again when they move."""
    text = "FROM {0}:py313\n${{TRY_IMAGE:-{0}:py313}} `{0}:base-slim` --from={0}:tool corp.example/prefect-uv:py313"
    for published in ("ghcr.io/acme/prefect-uv", "quay.io/acme/flows/prefect-uv", "prefect-uv"):
        monkeypatch.setattr(pins, "PUBLISHED", published)
        for before in ("prefect-uv", "ghcr.io/acme/prefect-uv"):
            assert pins.pinned(text.format(before)) == text.format(published)
