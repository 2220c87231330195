"""A small S3-compatible store, which lists a bucket and returns its objects to one access key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.unit.http_server import serve

DATE = "Fri, 20 Nov 2026 00:00:00 GMT"


class S3Handler(BaseHTTPRequestHandler):
    """Answers ListObjectsV2, HeadObject and GetObject with path-style addresses."""

    protocol_version = "HTTP/1.1"
    bucket: str
    key: str
    objects: Mapping[str, bytes]

    def log_message(self, *_: object) -> None:
        """Keep the test output readable."""

    def do_GET(self) -> None:
        """Answer with a list or an object."""
        if f"Credential={self.key}/" not in self.headers.get("Authorization", ""):
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        parts = urlsplit(self.path)
        bucket, _, name = unquote(parts.path).lstrip("/").partition("/")
        if bucket != self.bucket:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif name:
            data = self.objects.get(name)
            self._answer(404 if data is None else 200, data or b"")
        else:
            self._answer(200, self._list({key: values[0] for key, values in parse_qs(parts.query).items()}))

    do_HEAD = do_GET

    def _list(self, query: Mapping[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        matching = {name: data for name, data in self.objects.items() if name.startswith(prefix)}
        folders = {
            prefix + name.removeprefix(prefix).split(delimiter)[0] + delimiter
            for name in matching
            if delimiter and delimiter in name.removeprefix(prefix)
        }
        files = {
            name: data for name, data in matching.items() if not any(name.startswith(folder) for folder in folders)
        }
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(data)}</Size><ETag>&quot;x&quot;</ETag>"
            f"<LastModified>2026-11-20T00:00:00Z</LastModified></Contents>"
            for name, data in files.items()
        )
        common = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders)
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}{common}</ListBucketResult>".encode()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "ETag": '"x"', "Last-Modified": DATE}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def s3_store(bucket: str, key: str, objects: Mapping[str, bytes]) -> Iterator[str]:
    """Serve the objects of a bucket; yields the endpoint's address."""
    handler = type("BucketHandler", (S3Handler,), {"bucket": bucket, "key": key, "objects": objects})
    with serve(handler) as port:
        yield f"http://127.0.0.1:{port}"
