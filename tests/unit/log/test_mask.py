"""Credentials are masked in everything that leaves the process."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_uv.log.mask import MASK, Mask
from tests.unit.spellings import SPELLINGS, WITHOUT_STARS, secrets, spelled

SECRET = "s3cr/t w&rd"  # noqa: S105 (made up)
MARKS = ("", "'", '"', "b'")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_secret_is_masked_in_each_spelling(spelling: str) -> None:
    """A secret is masked as programs write it, and what is around it stays."""
    mask = Mask()
    mask.add(SECRET)
    assert mask(f"see {spelled(SECRET, spelling)} there") in {f"see {mark}{MASK}{mark[-1:]} there" for mark in MARKS}


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
    mask.add("", None, "abc", " \n", "a\nb\nc")
    assert mask("abcdef") == "abcdef"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("as admin:hush-hush", "as ****"),
        ("tell hush-hushabye", "tell ****"),
        ("of hush-hush-hush", "of ****"),
        ("Admin:hush", "Admin:hush"),
    ],
)
def test_overlapping_secrets_leave_nothing(text: str, masked: str) -> None:
    """If secrets contain or overlap one another, or themselves, no part of any remains."""
    mask = Mask()
    mask.add("admin", "admin:hush-hush", "hush-hush", "hushabye")
    assert mask(text) == masked


def test_lines_of_a_secret_are_masked_by_themselves() -> None:
    """Whoever indents, cuts or numbers the lines of a key still shows none; its shortest line is an ordinary word."""
    mask = Mask()
    mask.add("main\nb3BlbnNzaC1rZXk\r\n\tQyNTUxOQ==\x0bAAAAC3NzaC1l\n")
    assert mask("main\n  1 b3BlbnNzaC1rZXk\n  2 QyNTUxOQ==\n  3 AAAAC3NzaC1l") == "main\n  1 ****\n  2 ****\n  3 ****"


def test_white_space_around_a_secret_is_not_part_of_it() -> None:
    """A secret from a file ends with a line break, and programs print it without."""
    mask = Mask()
    mask.add(" hush-hush\n")
    assert mask("it is hush-hush.") == "it is ****."


@given(given_secrets=st.lists(secrets(), min_size=1, max_size=3), data=st.data())
def test_known_secret_never_remains(given_secrets: list[str], data: st.DataObject) -> None:
    """A secret is masked in any surroundings, however often they are written as repr, JSON, a shell word or a URL."""
    mask = Mask()
    mask.add(*given_secrets)
    around = st.text(WITHOUT_STARS, max_size=8)
    text = "".join(f"{data.draw(around)}{secret}" for secret in given_secrets) + data.draw(around)
    written = data.draw(st.lists(st.sampled_from(sorted(SPELLINGS)), max_size=2))
    masked = mask(spelled(text, *written))
    assert MASK in masked
    assert not any(spelled(secret, *written).strip("'\"") in masked for secret in given_secrets)


@given(before=st.binary(max_size=9), secret=secrets(), after=st.binary(max_size=9))
def test_known_secret_never_remains_in_base64(before: bytes, secret: str, after: bytes) -> None:
    """A password is masked in what Basic authorization encodes, whatever the user's name is."""
    mask = Mask()
    mask.add(secret)
    around = len(before) + len(secret.encode()) + len(after)
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        masked = mask(encode(before + secret.encode() + after).decode())
        assert MASK in masked
        rest = len(masked.replace(MASK, "").rstrip("="))
        assert rest * 6 <= (around - len(secret.strip().encode())) * 8 + 12, (masked, rest)


def test_ordinary_lines_stay_as_they_are() -> None:
    """Escapes without a secret in them are not undone."""
    mask = Mask()
    mask.add(SECRET)
    text = "100 % of C:\\new\\x41, %41, \\u, \\U0011ffff, '\"'\"', a+b, \udce9 and 😀\n"
    assert mask(text) == text
