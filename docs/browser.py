"""A headless Chromium that shows pages of one server on this machine, and reaches nothing else.

It is driven by the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.stack.process import background, ensure_running, wait_until
from tests.stack.server import plain_environment
from tests.suite import mark

PACKAGE = PROGRAM = "chromium"
START_SECONDS = 60
PAGE_SECONDS = 60
STILL_SECONDS = 1
SIZE = {"width": 1216, "height": 1500}
"""The main part of a page is 960 wide, beside a menu; pages are shown without scrolling."""
MARGIN = 24
QUIET = (
    "--headless",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--hide-scrollbars",
    "--lang=en-US",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)
FIND = "[...document.querySelectorAll('*')].filter(item => item.textContent%s).at(-1)"
"""The innermost element with a text; the last one, if there are several."""
CLICK = """
(found => {
  if (!found) return false;
  for (const type of ["mousedown", "mouseup"]) found.dispatchEvent(new MouseEvent(type, {bubbles: true, button: 0}));
  found.click();
  return true;
})(%s)
"""
"""Tabs of the library Radix open when the button is pressed, links when it is released."""
EDGES = "JSON.stringify([%s, document.querySelector('main')].map(item => item.getBoundingClientRect()))"


def installed() -> bool:
    """Whether Chromium is on this machine."""
    return shutil.which(PROGRAM) is not None


@dataclass(frozen=True)
class Browser:
    """A running Chromium with one page."""

    connection: Connection
    numbers: Iterator[int] = field(default_factory=partial(count, 1))

    @classmethod
    @contextmanager
    def start(cls, server: str) -> Iterator[Browser]:
        """Start Chromium, which finds only the host of this URL; at the end, stop it and remove its files."""
        only = f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {urlsplit(server).hostname}"
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses root
        with TemporaryDirectory(prefix="prefect-uv-browser-", dir=mark.folder(), ignore_cleanup_errors=True) as folder:
            log, data = Path(folder) / "log", Path(folder) / "data"
            command = [PROGRAM, *QUIET, *sandbox, only, f"--user-data-dir={data}", "about:blank"]
            with background(command, log, {**plain_environment(Path(folder)), "TZ": "UTC"}) as process:

                def address() -> str | None:
                    ensure_running(process, log)
                    return _page_address(data / "DevToolsActivePort")

                found = wait_until(address, "Chromium", START_SECONDS)
                with connect(found, max_size=None, proxy=None) as connection:
                    browser = cls(connection)
                    browser._send("Emulation.setDeviceMetricsOverride", **SIZE, deviceScaleFactor=1, mobile=False)
                    yield browser

    def show(self, url: str, *texts: str) -> None:
        """Open a page, and wait until it shows these texts."""
        self._send("Page.navigate", url=url)
        self.wait_for(*texts)

    def click(self, name: str, *texts: str) -> None:
        """Click on the link, button or tab with this text, and wait until the page shows these texts."""
        found = FIND % f".trim() === {json.dumps(name)}"
        wait_until(lambda: self._evaluate(CLICK % found), f"{name} on the page", PAGE_SECONDS)
        self.wait_for(*texts)

    def wait_for(self, *texts: str) -> None:
        """Wait until the page shows all of these texts.

        Raises:
            TimeoutError: it does not; the message has what it shows.
        """
        try:
            wait_until(lambda: all(text in self.text() for text in texts), f"{texts} on the page", PAGE_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it shows:\n{self.text()}") from None

    def text(self) -> str:
        """What the page shows, as text."""
        return str(self._evaluate("document.body ? document.body.innerText : ''"))

    def picture(self, last: str, margin: int = MARGIN) -> bytes:
        """The main part of the page as PNG, down to a margin below the element with the text `last`.

        It is taken when the page moves no more.
        """
        self.wait_for(last)
        edges = EDGES % FIND % f".includes({json.dumps(last)})"
        taken = b""

        def still() -> bool:
            nonlocal taken
            element, main = json.loads(self._evaluate(edges))
            part = {"x": main["x"], "y": 0, "width": main["width"], "height": element["bottom"] + margin, "scale": 1}
            before, taken = taken, base64.b64decode(self._send("Page.captureScreenshot", clip=part)["data"])
            return before == taken

        wait_until(still, "a page that moves no more", PAGE_SECONDS, STILL_SECONDS)
        return taken

    def _evaluate(self, script: str) -> Any:
        return self._send("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result; events in between are of no interest."""
        number = next(self.numbers)
        self.connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.connection.recv(PAGE_SECONDS))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result


def _page_address(ports: Path) -> str | None:
    """The address of the only page's socket, once Chromium has written its port."""
    if not ports.exists() or not (lines := ports.read_text().splitlines()):
        return None
    with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list", timeout=5) as response:
        pages = [target for target in json.load(response) if target["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"]) if pages else None
