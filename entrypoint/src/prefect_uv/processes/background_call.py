"""A call whose result is wanted later, and which the caller can do without."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic

from prefect_uv.processes.signals import Arguments, Returned, join_thread


class BackgroundCall(Generic[Returned]):
    """A call in a thread of its own."""

    def __init__(
        self, function: Callable[Arguments, Returned], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> None:
        self._returned: list[Returned] = []

        def call() -> None:
            with suppress(Exception):  # whoever needs the result does it again, and sees what is wrong
                self._returned.append(function(*args, **kwargs))

        self._thread = threading.Thread(target=call, daemon=True, name="background-call")
        self._thread.start()

    def result(self, seconds: float) -> Returned | None:
        """What the function returned; None if it failed, or does not return within these seconds.

        A signal ends the wait as `raise_noted_signal` does.
        """
        join_thread(self._thread, seconds)
        return next(iter(self._returned), None)
