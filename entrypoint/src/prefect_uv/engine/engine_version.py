"""What the engine of a given Prefect version can do.

Read in the sources of the versions and observed with the engines of 3.0.11 to 3.9.1; `tests/engine` runs them again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# `_main` of https://github.com/PrefectHQ/prefect/blob/3.7.0/src/prefect/flow_engine.py
FLOW_ENGINE_SINCE = (3, 7, 0)
# https://github.com/PrefectHQ/prefect/blob/3.6.27/src/prefect/_internal/control_listener.py
CANCEL_SINCE = (3, 6, 27)
# https://github.com/PrefectHQ/prefect/blob/3.8.1/src/prefect/_internal/control_listener.py
STOP_INTENTS_SINCE = (3, 8, 1)
# https://github.com/PrefectHQ/prefect/pull/16596
CRASH_HOOKS_SINCE = (3, 1, 12)


@dataclass(frozen=True)
class EngineVersion:
    """A version of Prefect, and what its engine can do."""

    version: tuple[int, ...]

    @classmethod
    def of(cls, version: str) -> EngineVersion:
        """Parse a version such as `3.8.8` or `3.9.0rc1`."""
        return cls(tuple(int(part) for part in re.findall(r"\d+", version)[:3]))

    @property
    def has_flow_engine(self) -> bool:
        """`python -m prefect.flow_engine ENTRYPOINT` exists."""
        return self.version >= FLOW_ENGINE_SINCE

    @property
    def runs_crashed_hooks(self) -> bool:
        """The engine runs on_crashed hooks when it reports Crashed itself."""
        return self.version >= CRASH_HOOKS_SINCE

    def understands(self, intent: str) -> bool:
        """The engine acknowledges this intent on the control channel."""
        return self.version >= (CANCEL_SINCE if intent == "cancel" else STOP_INTENTS_SINCE)

    @property
    def is_silent_on_sigterm(self) -> bool:
        """A SIGTERM without an acknowledged intent kills the engine, and it reports no state.

        From 3.6.27 on, the engine may force Crashed over Cancelling and AwaitingRetry instead: `capture_sigterm` of
        https://github.com/PrefectHQ/prefect/blob/3.6.27/src/prefect/utilities/engine/__init__.py
        """
        return self.version < CANCEL_SINCE
