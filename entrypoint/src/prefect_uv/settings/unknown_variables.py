"""Warnings about variables that begin like ours but do not exist: a misspelled one would silently do nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from prefect_uv.settings.tool_variables import OUR_PREFIX

# Kubernetes 1.33: a Service named `prefect-uv` gives these variables to every pod.
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_OF_A_SERVICE = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")


def warn_of_unknown(unknown: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """A warning for each unknown variable, with the known one that is spelled most like it, if any is."""
    short = [name.removeprefix(OUR_PREFIX) for name in known if name.startswith(OUR_PREFIX)]
    return tuple(
        f"{name} does not exist and is ignored{_nearest(name.removeprefix(OUR_PREFIX), short)}"
        for name in sorted(unknown)
        if not _OF_A_SERVICE.fullmatch(name)
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [*known], n=1)
    return f": did you mean {OUR_PREFIX}{near[0]}?" if near else ""
