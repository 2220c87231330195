#!/bin/sh
# Install the packages in EXTRA_PIP_PACKAGES into the system's environment, then run the command, as Prefect's image does.
# Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/scripts/entrypoint.sh
set -e
if [ -n "${EXTRA_PIP_PACKAGES:-}" ]; then
    # shellcheck disable=SC2086
    uv pip install $EXTRA_PIP_PACKAGES
fi
exec "$@"
