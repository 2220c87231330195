#!/bin/sh
# As the official image does: install what EXTRA_PIP_PACKAGES names into the system's environment, then the command.
set -e
if [ -n "${EXTRA_PIP_PACKAGES:-}" ]; then
    # shellcheck disable=SC2086
    uv pip install $EXTRA_PIP_PACKAGES
fi
exec "$@"
