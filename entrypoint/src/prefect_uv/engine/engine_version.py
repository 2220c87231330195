"""What a version of Prefect's engine understands and does by itself.

Read in the wheels and observed by running the engines of 3.0.11 to 3.8.8; `tests/engine` runs them again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FLOW_ENGINE_SINCE = (3, 7, 0)
CANCEL_SINCE = (3, 6, 27)
STOP_INTENTS_SINCE = (3, 8, 1)
CRASH_HOOKS_SINCE = (3, 1, 12)


@dataclass(frozen=True)
class EngineVersion:
    """The engine of one version of Prefect."""

    version: tuple[int, ...]

    @classmethod
    def of(cls, version: str) -> EngineVersion:
        """The engine of a version as it is written, `3.8.8` or `3.9.0rc1`."""
        return cls(tuple(int(part) for part in re.findall(r"\d+", version)[:3]))

    @property
    def has_flow_engine(self) -> bool:
        """`python -m prefect.flow_engine ENTRYPOINT` exists (`prefect/flow_engine.py`)."""
        return self.version >= FLOW_ENGINE_SINCE

    @property
    def runs_crashed_hooks(self) -> bool:
        """It runs on_crashed hooks when it reports Crashed itself (`prefect/flow_engine.py`, `call_hooks`)."""
        return self.version >= CRASH_HOOKS_SINCE

    def understands(self, intent: str) -> bool:
        """It acknowledges this intent on the control channel (`prefect/_internal/control_listener.py`)."""
        return self.version >= (CANCEL_SINCE if intent == "cancel" else STOP_INTENTS_SINCE)

    @property
    def is_silent_on_sigterm(self) -> bool:
        """A SIGTERM without an acknowledged intent makes it die by the signal, without reporting any state.

        From 3.6.27 on it may report Crashed, by force, over Cancelling and over AwaitingRetry.
        """
        return self.version < CANCEL_SINCE
