"""Variables with which no start can work, refused all at once and by name, before they break something obscurely.

PYTHONSAFEPATH is not among them: the engine, and Prefect's import of the flow, work with it
(covered by tests/unit/engine/test_run_module.py::test_with_a_safe_path).

CPython 3.13: https://docs.python.org/3/using/cmdline.html#environment-variables
git 2.47: https://git-scm.com/docs/git#_environment_variables
glibc 2.41: https://man7.org/linux/man-pages/man8/ld.so.8.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

_OTHER_LIBRARY = "makes every Python look elsewhere for its standard library and packages"
_OTHER_REPOSITORY = "leads git away from the repository that it is called for"
REFUSED_VARIABLES = {
    "PYTHONHOME": _OTHER_LIBRARY,
    "PYTHONPLATLIBDIR": _OTHER_LIBRARY,
    "PYTHONINSPECT": "keeps Python waiting for input when the flow has ended, and changes its exit code",
    "GIT_DIR": _OTHER_REPOSITORY,
    "GIT_WORK_TREE": _OTHER_REPOSITORY,
    "GIT_INDEX_FILE": _OTHER_REPOSITORY,
    "GIT_OBJECT_DIRECTORY": _OTHER_REPOSITORY,
    "GIT_NAMESPACE": _OTHER_REPOSITORY,
}
LIBRARY_VARIABLES = ("LD_PRELOAD", "LD_AUDIT")
_SEPARATORS = re.compile(r"[\s:]+")


def refusals(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with each variable that is set although nothing works with it."""
    for name, effect in REFUSED_VARIABLES.items():
        if environ.get(name):
            yield f"{name}={environ[name]} {effect}: remove it"
    for name in LIBRARY_VARIABLES:
        for library in missing_libraries(environ.get(name, "")):
            yield f"{name}={environ[name]} names {library}, which does not exist"


def missing_libraries(value: str) -> list[str]:
    """The paths in such a variable that lead nowhere; names without a path, and with a `$`, are left to the linker."""
    paths = (word for word in _SEPARATORS.split(value) if "/" in word and "$" not in word)
    return [path for path in paths if not os.path.exists(path)]  # noqa: PTH110 (Path.exists raises for an overlong one)
