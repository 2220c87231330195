"""Finding the credentials in environment variables, so that they can be masked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from prefect_uv.urls import USERINFO

API_KEY, AUTH_STRING = "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"
# uv 0.13.8: https://docs.astral.sh/uv/concepts/indexes/#providing-credentials-directly
_TOKEN = re.compile(r"UV_.+_(?:PASSWORD|TOKEN)")
_USERNAME = re.compile(r"UV_INDEX_.+_USERNAME")
# OpenTelemetry 1.50: `name=value,…`. https://opentelemetry.io/docs/specs/otel/protocol/exporter/
_OTLP_HEADERS = re.compile(r"OTEL_EXPORTER_OTLP_(?:[A-Z]+_)?HEADERS")
_NETRC = re.compile(r'\bpassword\s+("(?:[^"\\]|\\.)*"|\S+)')


def is_index_secret(name: str) -> bool:
    """Whether a variable is a credential of an index by its name."""
    return bool(_TOKEN.fullmatch(name) or _USERNAME.fullmatch(name))


def secrets_in(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the credentials of the API, indexes, proxies and collectors: from their variables, any URL, and netrc."""
    for name, value in environ.items():
        if name in {API_KEY, AUTH_STRING}:
            yield value
            yield value.partition(":")[2]
        elif _TOKEN.fullmatch(name):
            yield value
            yield f"{environ.get(name.replace('_PASSWORD', '_USERNAME'), '')}:{value}"
        elif _USERNAME.fullmatch(name) and not environ.get(name.replace("_USERNAME", "_PASSWORD")):
            yield value
        elif name.startswith("OTEL_") and _OTLP_HEADERS.fullmatch(name):
            yield from _in_header_list(value)
        yield from secrets_in_urls(value)
    yield from _in_netrc(environ)


def secrets_in_urls(text: str) -> Iterator[str]:
    """Yield the credentials in URLs, as written and percent-decoded; a user name without a password is a token."""
    for userinfo in USERINFO.findall(text):
        user, _, password = userinfo.partition(":")
        for secret in (password or user, userinfo):
            yield secret
            yield unquote(secret)


def _in_header_list(text: str) -> Iterator[str]:
    """Yield the values of headers, as written and percent-decoded, with and without a scheme such as `Bearer`."""
    for header in text.split(","):
        value = header.partition("=")[2].strip()
        for form in (value, unquote(value)):
            yield form
            yield form.rpartition(" ")[2]


def _in_netrc(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the passwords of both netrc files: the one that NETRC names, and ~/.netrc.

    uv 0.13.8 reads the first, and the second if NETRC is not set:
    https://docs.astral.sh/uv/concepts/authentication/http/#netrc-files
    git 2.47 reads ~/.netrc even if NETRC is set: https://curl.se/libcurl/c/CURLOPT_NETRC.html
    """
    for path in filter(None, (environ.get("NETRC"), f"{environ.get('HOME', '/nonexistent')}/.netrc")):
        try:
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError):
            continue
        for password in _NETRC.findall(text):
            yield re.sub(r"\\(.)", r"\1", password.strip('"')) if password.startswith('"') else password
