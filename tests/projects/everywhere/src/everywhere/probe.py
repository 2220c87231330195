"""Which environment a process is in, and what it knows there."""

import json
import sys
from importlib.metadata import PackageNotFoundError, version


def seen():
    """The environment, and the versions of the project, its neighbour, a dependency and an extra package."""
    return {"environment": sys.prefix, **{name: _version(name) for name in ("everywhere", "counted", "mako", "cowsay")}}


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main():
    """Print it."""
    print(json.dumps(seen()))


if __name__ == "__main__":
    main()
