"""The main thread never waits where no signal can end the wait, and no signal handler raises an exception."""

from __future__ import annotations

import ast

from tests.unit.repository.test_layout import PACKAGE, modules

BLOCKING = {
    "time.sleep",
    "subprocess.Popen",
    "subprocess.run",
    "process.communicate",
    "shutil.copytree",
    "fcntl.flock",
}
ALLOWED = {
    "processes/signals.py time.sleep": "a tenth of a second",
    "processes/subprocesses.py process.communicate": "a tenth of a second",
    "processes/subprocesses.py subprocess.Popen": "the one place that starts a command before the launch",
    "processes/process_tree.py time.sleep": "ten seconds in all, when everything is being killed",
    "cache_volume/lease.py time.sleep": "two seconds in all",
    "cache_volume/file_lock.py fcntl.flock": "it does not wait",
    "image_facts.py subprocess.run": "only while the image is built",
    "engine/launch.py subprocess.Popen": "signals are events by then",
    "engine/start_up/early_engine.py subprocess.Popen": "in a thread that a signal lets the main thread abandon",
    "engine/flow_hooks.py subprocess.Popen": "signals are events by then",
    "engine/flow_processes.py time.sleep": "five seconds in all, after the end of the engine",
}
"""What may block, with the reason why that is no wait in which a signal is not heard."""
HANDLER_OWNERS = {"processes/signals.py", "engine/engine_process.py", "engine/launch.py", "start.py"}
"""Modules that set signal handlers: their handlers note a signal, make an event of it, or print."""


def _calls() -> set[str]:
    """What the program calls by a dotted name, each after its module, such as `start.py signal.signal`."""
    return {
        f"{module.relative_to(PACKAGE)} {ast.unparse(node.func)}"
        for module in modules()
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


def test_blocking_calls_are_known() -> None:
    """A new call that may block goes through processes/signals.py or processes/subprocesses.py, or has a reason."""
    assert {call for call in _calls() if call.split()[1] in BLOCKING} - ALLOWED.keys() == set()


def test_signal_handlers_are_known() -> None:
    """Whoever sets a signal handler must not let it raise."""
    assert {call.split()[0] for call in _calls() if call.split()[1] == "signal.signal"} <= HANDLER_OWNERS
