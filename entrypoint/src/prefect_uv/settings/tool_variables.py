"""Which variables a program gets: those that it needs, and no secret that is not for it (ADR 14).

Build backends, and the Python of an environment, run code of strangers: they get what is listed here, and no
credentials. git gets the same and what its credential helpers read. PREFECT_UV_TOOL_VARIABLES adds to both. uv, which
reads any variable that a requirements file names, gets all but Prefect's variables, ours, and those for publishing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from prefect_uv.urls import USERINFO

PREFECT_PREFIX = "PREFECT"
OUR_PREFIX = "PREFECT_UV_"
PUBLISHING_PREFIX = "UV_PUBLISH_"
IMPORT_PATH = "_PREFECT_UV_IMPORT_PATH"
"""Has the directories that one run imports from (ADR 25)."""
VERSION_CHECK = "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED"
"""Whether Prefect's client asks the server for its version (ADR 39)."""

PROXIES = frozenset(
    name for word in ("http", "https", "ftp", "all", "no") for name in (f"{word}_proxy", f"{word}_PROXY".upper())
)
# An entry that ends with an underscore stands for all names that begin with it.
FOR_ALL_PROGRAMS = """
    CI COLUMNS CURL_CA_BUNDLE FORCE_COLOR GIT_ HOME HOSTNAME LANG LANGUAGE LC_ LD_LIBRARY_PATH LD_PRELOAD LOGNAME
    MALLOC_ NO_COLOR NSS_WRAPPER_ OMP_ PATH PWD PYC_INVALIDATION_MODE PYTHONBREAKPOINT PYTHONDONTWRITEBYTECODE
    PYTHONFAULTHANDLER PYTHONHASHSEED PYTHONIOENCODING PYTHONPATH PYTHONUNBUFFERED PYTHONUTF8 PYTHONWARNINGS
    REQUESTS_CA_BUNDLE SHELL SOURCE_DATE_EPOCH SSL_ TEMP TERM TMP TMPDIR TZ USER XDG_
"""
FOR_BUILDS = """
    AR AS BUILD_ CARGO_ CC CMAKE_ CONDA_ CPP CUDA_ CXX CYTHON_ DISABLE_ DISTUTILS_ ENABLE_ F77 F90 FC FLIT_ FORCE_ GO_
    HATCH_ HDF5_ LD LLVM_ MAKE MATURIN_ MAX_ MESON_ MKL_ NINJA_ NM NO_ NODE_ NPY_ NUMPY_ NVCC_ OPENBLAS_ OPENSSL_ PBR_
    PDM_ PIP_ PKG_CONFIG POETRY_ PYO3_ PYTHON_ RANLIB ROCM_ RUST_ RUSTC RUSTC_ RUSTUP_ SETUPTOOLS_ SKBUILD_ SKIP_ STRIP
    SWIG TORCH_ USE_ UV_ WITHOUT_ WITH_ _PYTHON_HOST_PLATFORM
"""
ENDINGS_FOR_BUILDS = """
    FLAGS _ARCH _ARCHS _ARGS _BACKEND _BIN _BUILD _CONFIG _DIR _DIRS _EXECUTABLE _HOME _INCLUDE _INCLUDES _JOBS _LIB
    _LIBRARIES _LIBRARY _LIBS _OPTIONS _OPTS _PATH _PATHS _PREFIX _ROOT _THREADS _TYPE _VERSION
"""
FOR_CREDENTIAL_HELPERS = """
    ACTIONS_ AWS_ AZURE_ BITBUCKET_ CI_ CLOUDSDK_ DBUS_ ECS_ GCM_ GH_ GITHUB_ GITLAB_ GIT_ GNUPGHOME GOOGLE_ GPG_
    IDENTITY_ KUBERNETES_ MSI_ NETRC SSH_ SYSTEM_
"""
CREDENTIAL_WORDS = {
    *("APIKEY", "AUTH", "CREDENTIAL", "CREDENTIALS", "KEY", "LOGIN", "PASS", "PASSWD", "PASSWORD", "PAT", "SECRET"),
    *("SECRETS", "TOKEN", "USERNAME"),
}
# git 2.47: fails if one of these is missing. https://git-scm.com/docs/git-config#_environment
GIT_CONFIG = "GIT_CONFIG_"


def variables_for_uv(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without Prefect's variables, ours, and those for publishing packages."""
    return {name: value for name, value in environ.items() if not name.startswith((PREFECT_PREFIX, PUBLISHING_PREFIX))}


def variables_for_builds(environ: Mapping[str, str], added: Iterable[str] = ()) -> dict[str, str]:
    """The environment for build backends and for the Python of an environment.

    Args:
        environ: the variables for uv.
        added: names, or patterns such as `CORP_*`, of more variables.
    """
    endings = tuple(ENDINGS_FOR_BUILDS.split())
    listed = _listed(environ, FOR_ALL_PROGRAMS + FOR_BUILDS)
    listed |= {name: value for name, value in environ.items() if name.endswith(endings)}
    credentials = tuple(name for name, value in listed.items() if _is_credential(name, value))
    if any(name.startswith(GIT_CONFIG) for name in credentials):
        credentials += tuple(name for name in listed if name.startswith(GIT_CONFIG))
    return {name: value for name, value in listed.items() if name not in credentials} | _added(environ, added)


def variables_for_git(environ: Mapping[str, str], added: Iterable[str] = ()) -> dict[str, str]:
    """The environment for git, SSH and credential helpers; the arguments are those of `variables_for_builds`."""
    return _listed(environ, FOR_ALL_PROGRAMS + FOR_CREDENTIAL_HELPERS) | _added(environ, added)


def _listed(environ: Mapping[str, str], text: str) -> dict[str, str]:
    entries = text.split()
    names, beginnings = PROXIES.union(entries), tuple(entry for entry in entries if entry.endswith("_"))
    return {name: value for name, value in environ.items() if name in names or name.startswith(beginnings)}


def _added(environ: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    patterns = tuple(patterns)
    return {name: value for name, value in environ.items() if any(fnmatchcase(name, each) for each in patterns)}


def _is_credential(name: str, value: str) -> bool:
    """Whether a variable is a credential by its name or its value; a build needs a proxy even if it is one."""
    if name in PROXIES:
        return False
    if name.startswith(GIT_CONFIG):
        return bool(USERINFO.search(value)) or "authorization" in value.lower()
    return bool(CREDENTIAL_WORDS.intersection(name.upper().split("_")) or USERINFO.search(value))
