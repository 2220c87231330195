"""Flows that wait for other processes; things are done to them once those processes work."""

import multiprocessing
import signal
import subprocess
import time
from pathlib import Path

from flows import HOOKS, begin, note
from prefect import flow, task

try:
    from prefect.task_runners import ProcessPoolTaskRunner
except ImportError:
    from prefect.task_runners import ThreadPoolTaskRunner as ProcessPoolTaskRunner

WORKERS = 2


def work(folder):
    note(folder, "working")
    time.sleep(120)


def begin_when_working(folder):
    notes = Path(folder, "notes")
    while not notes.exists() or notes.read_text().count("working") < WORKERS:
        time.sleep(0.1)
    begin(folder)


@task
def working(folder):
    work(folder)


@flow(task_runner=ProcessPoolTaskRunner(max_workers=WORKERS), **HOOKS)
def submitting(folder: str):
    futures = [working.submit(folder) for _ in range(WORKERS)]
    begin_when_working(folder)
    for future in futures:
        future.result()


@flow(task_runner=ProcessPoolTaskRunner(max_workers=WORKERS), **HOOKS)
async def submitting_async(folder: str):
    futures = [working.submit(folder) for _ in range(WORKERS)]
    begin_when_working(folder)
    for future in futures:
        future.result()


def work_on(folder):
    """Go on with the next task after one that was interrupted, as the workers of concurrent.futures do."""
    signal.set_wakeup_fd(-1)
    while True:
        try:
            work(folder)
        except BaseException as interrupted:
            note(folder, type(interrupted).__name__)


@flow(**HOOKS)
def forking(folder: str):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work_on, args=(folder,)) for _ in range(WORKERS)]
    try:
        for worker in workers:
            worker.start()
        begin_when_working(folder)
        time.sleep(120)
    finally:
        for worker in workers:
            worker.join()


@flow(**HOOKS)
def calling(folder: str):
    script = f"trap 'echo cleaned >> {folder}/notes; exit' TERM; while :; do sleep 0.1; done"
    with subprocess.Popen(["setsid", "sh", "-c", script]):
        begin(folder)
        time.sleep(120)
