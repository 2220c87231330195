"""The umask for files on the volume, which is the whole process's."""

from __future__ import annotations

import os
from contextlib import ExitStack

from prefect_uv.cache_volume.shared_umask import SHARED_UMASK, shared_umask


def current_umask() -> int:
    """The umask, which can only be read by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_umask_is_restored_in_any_order() -> None:
    """Of two threads, the first may leave first: the other one keeps the umask until it leaves, too."""
    before = current_umask()
    first, second = ExitStack(), ExitStack()
    first.enter_context(shared_umask())
    second.enter_context(shared_umask())
    first.close()
    assert current_umask() == SHARED_UMASK
    second.close()
    assert current_umask() == before
