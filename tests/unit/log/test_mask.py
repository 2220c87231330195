"""Credentials are masked in everything that leaves the process."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_uv.log.mask import MASK, Mask

SECRET = "s3cr/t w&rd"  # noqa: S105 (made up)
WITHOUT_STARS = st.characters(codec="utf-8", exclude_characters=MASK)


@pytest.mark.parametrize(
    "text", [SECRET, quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode(), f"x{SECRET}y{SECRET}"]
)
def test_secret_is_masked_in_each_spelling(text: str) -> None:
    """A secret is masked raw, percent-encoded and in base64."""
    mask = Mask()
    mask.add(SECRET)
    assert mask(text).replace(MASK, "") in {"", "xy"}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://user:token@git.example/x", "https://****@git.example/x"),
        ("https://token@git.example/x", "https://****@git.example/x"),
        ("see https://a:b@c and ssh://d:e@f", "see https://****@c and ssh://****@f"),
        ("foo @ https://ci:p@ss'w0rd@git.example/foo.whl", "foo @ https://****@git.example/foo.whl"),
        ("git+https://t@git.example/x@main, https://h/@x", "git+https://****@git.example/x@main, https://h/@x"),
        (
            "`https://h/a=b/f.whl?sig=a%2Fb&se=1;sp=r#sha256=ab` went",
            "`https://h/a=b/f.whl?sig=****&se=****;sp=****#sha256=ab` went",
        ),
        ("https://git.example/x?to=a@b", "https://git.example/x?to=****"),
        ("why? a=b", "why? a=b"),
        ("Authorization: Bearer abc", "Authorization: Bearer ****"),
        ("> authorization: basic dXNlcg==", "> authorization: basic ****"),
    ],
)
def test_unknown_credentials_are_masked_where_they_stand(text: str, masked: str) -> None:
    """User information and query values of URLs, and authorization headers, are masked without being known."""
    assert Mask()(text) == masked


def test_empty_and_short_secrets_are_ignored() -> None:
    """Unset secrets and those of fewer than four characters, which occur in ordinary words, are not masked."""
    mask = Mask()
    mask.add("", None, "abc")
    assert mask("abcdef") == "abcdef"


def test_longer_of_overlapping_secrets_is_masked_first() -> None:
    """If one secret contains another, no part of the longer one remains."""
    mask = Mask()
    mask.add("admin", "admin:hush-hush")
    assert mask("as admin:hush-hush") == "as ****"


@given(
    secrets=st.lists(st.text(WITHOUT_STARS, min_size=4, max_size=12), min_size=1, max_size=3),
    parts=st.lists(st.text(WITHOUT_STARS, max_size=8), min_size=1, max_size=3),
)
def test_known_secret_never_remains(secrets: list[str], parts: list[str]) -> None:
    """A secret of four characters or more is masked in any surroundings."""
    mask = Mask()
    mask.add(*secrets)
    text = mask("".join(f"{part}{secret}" for part in parts for secret in secrets))
    assert not any(secret in text for secret in secrets)
