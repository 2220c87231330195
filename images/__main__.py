"""The builder's command line: `python -m images build base py313`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

from images import clean, engine, family, lock, venv
from images.build import NO_PYTHON, build, sizes
from images.process import ToolError, say


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m images", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("engine", help="make sure that a Docker engine runs, and leave it running")
    within = verbs.add_parser("with-engine", help="run a command with an engine, stop the engine if it was started")
    within.add_argument("command", nargs=argparse.REMAINDER)
    make = verbs.add_parser("build", help="build images and their parents; without names, all of them")
    make.add_argument("names", nargs="*", metavar="NAME")
    verbs.add_parser("venv", help="make the tools environment")
    verbs.add_parser("clean", help="remove the images, containers, networks and volumes of this project")
    verbs.add_parser("lock", help="write the requirements files from the pins of family.toml")
    return parser.parse_args()


def with_engine(command: list[str]) -> int:
    """Run the command while an engine runs, with DOCKER naming the client; a signal is the command's to handle."""
    with engine.running() as docker:
        child = subprocess.Popen(command, env={**os.environ, "DOCKER": docker})
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends it to the command as well
        code = child.wait()
    return code if code >= 0 else 128 - code


def build_named(names: list[str]) -> int:
    """Build and print the sizes; of all images, one whose interpreter cannot be downloaded here may be missing."""
    members = family.read()
    if unknown := set(names) - set(members.images):
        message = f"no image is named {', '.join(sorted(unknown))}; there are {', '.join(members.images)}"
        raise ToolError(message)
    with engine.running() as docker:
        failures = build(docker, members, names or list(members.images))
        for name, error in failures.items():
            say(f"{members.tag(name)} was not built:\n{error}")
        print(sizes(docker, members))
    excused = [name for name, error in failures.items() if not names and NO_PYTHON in str(error)]
    return int(len(failures) > len(excused))


def main() -> int:
    """Run one verb; a failed tool is told without a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    arguments = parse()
    try:
        match arguments.verb:
            case "engine":
                engine.ensure()
            case "with-engine":
                return with_engine(arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command)
            case "build":
                return build_named(arguments.names)
            case "venv":
                venv.venv()
            case "clean":
                clean.clean()
            case "lock":
                lock.lock()
    except ToolError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
