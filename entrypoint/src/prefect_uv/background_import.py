"""Importing while others are waited for: half of our own modules cost nothing then (ADR 0015)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

SWITCH_SECONDS = 0.0005


@contextmanager
def importing_in_background(*modules: str) -> Iterator[None]:
    """Import modules in a thread of their own, which gives way at once to what is done here.

    An error in one of them comes up again where it is imported for use.
    """
    thread = threading.Thread(target=lambda: list(map(import_module, modules)), daemon=True, name="imports")
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    thread.start()
    try:
        yield
    finally:
        sys.setswitchinterval(before)
    thread.join()
