"""Importing modules while the API and git keep us waiting, so that half of our modules cost no time (ADR 15)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from prefect_uv.processes.signals import join_thread

SWITCH_SECONDS = 0.0005


@contextmanager
def importing_in_background(*modules: str) -> Iterator[None]:
    """Import modules in a thread that yields to this one every half millisecond; wait for it unless the block fails.

    An import that fails is not reported here: it fails again where the module is imported for use.
    """
    thread = threading.Thread(target=_import_all, args=(modules,), daemon=True, name="imports")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    thread.start()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
    join_thread(thread)


def _import_all(modules: Iterable[str]) -> None:
    with suppress(Exception):
        for module in modules:
            import_module(module)
