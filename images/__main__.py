"""The builder's command line: `python -m images build base py313`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

from images import clean, docker_engine, family, requirements, upgrade, venv
from images.build import NO_PYTHON, build, size_table
from images.process import ToolError, say


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("engine", help="make sure that a Docker engine is running, and leave it running")
    with_engine = commands.add_parser(
        "with-engine", help="run a program with a Docker engine, then stop the engine if this command started it"
    )
    with_engine.add_argument("program", nargs=argparse.REMAINDER)
    build_command = commands.add_parser("build", help="build images and their parents; without names, all of them")
    build_command.add_argument("names", nargs="*", metavar="NAME")
    commands.add_parser("venv", help="create the tools environment")
    commands.add_parser("clean", help="remove the images, containers, networks and volumes of this project")
    commands.add_parser("lock", help="write the requirements files from the pins in family.toml")
    commands.add_parser("upgrade", help="raise the pins to the newest releases, and write all files that follow them")
    return parser.parse_args()


def run_with_engine(program: list[str]) -> int:
    """Run a program with a Docker engine and return its exit code.

    DOCKER holds the path of the Docker client. SIGTERM is passed on to the program.
    """
    with docker_engine.running() as docker:
        child = subprocess.Popen(program, env={**os.environ, "DOCKER": docker})
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends it to the program as well
        code = child.wait()
    return code if code >= 0 else 128 - code


def build_images(names: list[str]) -> int:
    """Build images, print the sizes of all that exist, and return the exit code.

    Without names, all images are built; then it is no failure if an interpreter cannot be downloaded.
    """
    members = family.read()
    if unknown := set(names) - set(members.images):
        message = f"no image is named {', '.join(sorted(unknown))}; there are {', '.join(members.images)}"
        raise ToolError(message)
    with docker_engine.running() as docker:
        failures = build(docker, members, names or list(members.images))
        for name, error in failures.items():
            say(f"{members.tag(name)} was not built:\n{error}")
        print(size_table(docker, members))
    excused = [name for name, error in failures.items() if not names and NO_PYTHON in str(error)]
    return int(len(failures) > len(excused))


def main() -> int:
    """Run one command; report a tool that fails without a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    arguments = parse_arguments()
    try:
        match arguments.command:
            case "engine":
                docker_engine.ensure()
            case "with-engine":
                program = arguments.program
                return run_with_engine(program[1:] if program[:1] == ["--"] else program)
            case "build":
                return build_images(arguments.names)
            case "venv":
                venv.create()
            case "clean":
                clean.clean()
            case "lock":
                requirements.lock()
            case "upgrade":
                upgrade.upgrade()
    except ToolError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
