"""Flows that things are done to; what they and their hooks live through stands as lines in FOLDER/notes."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import prefect
from prefect import flow


def note(folder, word):
    with open(Path(folder, "notes"), "a") as file:
        file.write(word + "\n")


def cancelled(flow, flow_run, state):
    note(flow_run.parameters["folder"], "on_cancellation")


def crashed(flow, flow_run, state):
    note(flow_run.parameters["folder"], "on_crashed")


HOOKS = {"on_cancellation": [cancelled], "on_crashed": [crashed]}


def begin(folder):
    """Record every signal that Python sees, as a byte, and leave Prefect's handlers in place."""
    record = os.open(Path(folder, "signals"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK)
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(record, warn_on_full_buffer=False)
    note(folder, f"engine {os.getpid()} {type(prefect.__loader__).__name__}")


@flow(**HOOKS)
def sleeping(folder: str, seconds: float = 120):
    begin(folder)
    try:
        time.sleep(seconds)
    finally:
        note(folder, "finally")


@flow(**HOOKS)
async def sleeping_async(folder: str):
    begin(folder)
    await asyncio.sleep(120)


@flow(**HOOKS)
def swallowing(folder: str):
    begin(folder)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            time.sleep(1)
        except BaseException:
            note(folder, "swallowed")


@flow(**HOOKS)
def exiting(folder: str, code: int):
    begin(folder)
    os._exit(code)


@flow(**HOOKS)
def leaving(folder: str, code: int):
    begin(folder)
    sys.exit(code)


@flow(**HOOKS)
def failing(folder: str):
    begin(folder)
    raise ValueError("this flow fails on purpose")


@flow(**HOOKS)
def segfaulting(folder: str):
    begin(folder)
    os.kill(os.getpid(), signal.SIGSEGV)


@flow(**HOOKS)
def suspending(folder: str):
    from prefect.flow_runs import suspend_flow_run

    begin(folder)
    suspend_flow_run(timeout=600)


@flow(retries=1, **HOOKS)
def retrying(folder: str):
    begin(folder)
    if Path(folder, "notes").read_text().count("engine") < 2:
        raise ValueError("the first time")


@flow
def inner(folder: str):
    begin(folder)
    time.sleep(120)


@flow(**HOOKS)
def outer(folder: str):
    inner(folder)


@flow
async def inner_async(folder: str):
    begin(folder)
    await asyncio.sleep(120)


@flow(**HOOKS)
async def outer_async(folder: str):
    await inner_async(folder)


@flow(**HOOKS)
def pausing(folder: str):
    from prefect.flow_runs import pause_flow_run

    begin(folder)
    pause_flow_run(timeout=600)


@flow(**HOOKS)
def suspending_slowly(folder: str):
    try:
        suspending.fn(folder)
    finally:
        time.sleep(8)


@flow(**HOOKS)
def daemonizing(folder: str, seconds: float = 0):
    begin(folder)
    subprocess.Popen(["setsid", "sleep", "1000"])
    subprocess.Popen(["sh", "-c", "setsid sleep 1000 & exit 0"]).wait()
    time.sleep(seconds)


@flow(**HOOKS)
def threading_on(folder: str):
    begin(folder)
    threading.Thread(target=time.sleep, args=(1000,)).start()


@flow(**HOOKS)
def generating(folder: str):
    begin(folder)
    yield 1
    yield 2


@flow(**HOOKS)
def tidying(folder: str, seconds: float = 120):
    begin(folder)
    try:
        time.sleep(seconds)
    finally:
        time.sleep(8)
        note(folder, "tidied")
