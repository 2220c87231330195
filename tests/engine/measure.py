"""Measure the cost of supervision and the speed of Cancel: our path and Prefect's own, alternating on one machine.

`python -m tests.engine.measure [ROUNDS]` prints the figures; with `--write`, it also saves them in
docs/reference/supervision-costs.json, from which the documentation's table is generated.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.engine.host import ROOT, Host, Run
from tests.engine.proxy import Proxy
from tests.pins import PREFECT
from tests.stack.api import Api
from tests.stack.process import wait_until
from tests.stack.server import PrefectServer

FIGURES = ROOT / "docs" / "reference" / "supervision-costs.json"
SETTLE_SECONDS = 15
WATCH_SECONDS = 60


@contextmanager
def counted_host() -> Iterator[tuple[Host, Proxy]]:
    """A host whose runs reach the server through a counting proxy."""
    with tempfile.TemporaryDirectory(prefix="prefect-uv-measure-") as directory:
        home = Path(directory)
        with (
            PrefectServer.start("127.0.0.1", "admin:measured", home) as server,
            Api.connect(server) as api,
            Proxy.before(server) as proxy,
        ):
            yield Host.make(home, proxy.server, api), proxy


def prefect_command(host: Host) -> list[str]:
    """Prefect's own path: `prefect flow-run execute` in the project's environment."""
    environment = next(host.cache.glob("envs/*/*/bin/prefect"))
    return [str(environment), "flow-run", "execute"]


def measure(host: Host, counter: Proxy, command: list[str] | None) -> dict[str, float]:
    """Measure one run: memory, CPU time and requests while it sleeps, then the time from Cancel to Cancelled."""
    run = host.start(PREFECT, "flows.py:sleeping", {"seconds": 1000}, command=command)
    run.wait_for_flow()
    time.sleep(SETTLE_SECONDS)
    requests, cpu = len(counter.requests), _cpu(run.process.pid)
    time.sleep(WATCH_SECONDS)
    figures = {
        "requests_per_minute": (len(counter.requests) - requests) * 60 / WATCH_SECONDS,
        "cpu_ms_per_minute": (_cpu(run.process.pid) - cpu) * 60 / WATCH_SECONDS,
        "pss_mb": run.pss,
    }
    return {**figures, **_cancel(run)}


def latency(host: Host, command: list[str] | None) -> dict[str, float]:
    """Measure the time from Cancel to Cancelled and to the end of one run."""
    run = host.start(PREFECT, "flows.py:sleeping", {"seconds": 1000}, command=command)
    run.wait_for_flow()
    time.sleep(5)
    return _cancel(run)


def _cancel(run: Run) -> dict[str, float]:
    run.cancel()
    wait_until(lambda: run.state.name == "Cancelled", "Cancelled", 120)
    cancelled = time.monotonic() - run.acted
    return {"cancelled_seconds": cancelled, "ended_seconds": run.end(120)[1]}


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure both paths, alternating, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with counted_host() as (host, counter):
        host.project(PREFECT)
        paths: dict[str, Any] = {"prefect-uv": None, "prefect flow-run execute": prefect_command(host)}
        figures = {name: measure(host, counter, command) for name, command in paths.items()}
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in paths}
        for _ in range(options.rounds):
            for name, command in paths.items():
                rounds[name].append(latency(host, command))
    for name, measurements in rounds.items():
        for key in ("cancelled_seconds", "ended_seconds"):
            figures[name][key] = statistics.median(figure[key] for figure in measurements)
        figures[name]["rounds"] = len(measurements)
    text = json.dumps({name: {k: round(v, 2) for k, v in each.items()} for name, each in figures.items()}, indent=1)
    print(text)  # noqa: T201
    if options.write:
        FIGURES.write_text(text + "\n")


if __name__ == "__main__":
    main()
