"""Which Debian package has a program, header or library that a build or an import did not find.

The names are those of Debian 13 (trixie), on which the images are based: https://packages.debian.org/trixie/
"""

from __future__ import annotations

import re
from typing import NamedTuple

COMPILER = "gcc libc6-dev python3-dev"
MYSQL = f"default-libmysqlclient-dev pkgconf {COMPILER}"
POSTGRES = f"libpq-dev {COMPILER}"

PROGRAMS = {
    "autoreconf": "autoconf automake libtool",
    "c++": "g++ python3-dev",
    "cargo": f"cargo {COMPILER}",
    "cc": COMPILER,
    "clang": "clang",
    "cmake": "cmake make g++ python3-dev",
    "curl-config": f"libcurl4-openssl-dev {COMPILER}",
    "g++": "g++ python3-dev",
    "gcc": COMPILER,
    "gdal-config": "libgdal-dev g++ python3-dev",
    "geos-config": "libgeos-dev g++ python3-dev",
    "gfortran": "gfortran",
    "git-lfs": "git-lfs",
    "krb5-config": f"libkrb5-dev {COMPILER}",
    "make": f"make {COMPILER}",
    "mariadb_config": MYSQL,
    "mysql_config": MYSQL,
    "ninja": "ninja-build",
    "patchelf": "patchelf",
    "pg_config": POSTGRES,
    "pkg-config": "pkgconf",
    "protoc": "protobuf-compiler",
    "rustc": f"rustc cargo {COMPILER}",
    "swig": "swig",
    "xml2-config": f"libxml2-dev libxslt1-dev {COMPILER}",
    "xslt-config": f"libxml2-dev libxslt1-dev {COMPILER}",
}
HEADERS = {
    "Python.h": "python3-dev",
    "curl/curl.h": "libcurl4-openssl-dev",
    "ffi.h": "libffi-dev",
    "gssapi/gssapi.h": "libkrb5-dev",
    "jpeglib.h": "libjpeg-dev",
    "krb5.h": "libkrb5-dev",
    "lber.h": "libldap-dev libsasl2-dev",
    "libpq-fe.h": "libpq-dev",
    "libxml/xmlversion.h": "libxml2-dev libxslt1-dev",
    "limits.h": "libc6-dev",
    "mysql.h": "default-libmysqlclient-dev",
    "openssl/ssl.h": "libssl-dev",
    "portaudio.h": "portaudio19-dev",
    "sasl/sasl.h": "libsasl2-dev",
    "sql.h": "unixodbc-dev",
    "stdio.h": "libc6-dev",
    "stdlib.h": "libc6-dev",
    "zlib.h": "zlib1g-dev",
}
LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libSM.so.6": "libsm6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libasound.so.2": "libasound2t64",
    "libatk-1.0.so.0": "libatk1.0-0t64",
    "libatomic.so.1": "libatomic1",
    "libcairo.so.2": "libcairo2",
    "libfontconfig.so.1": "libfontconfig1",
    "libgbm.so.1": "libgbm1",
    "libglib-2.0.so.0": "libglib2.0-0t64",
    "libgobject-2.0.so.0": "libglib2.0-0t64",
    "libgomp.so.1": "libgomp1",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libgthread-2.0.so.0": "libglib2.0-0t64",
    "libmagic.so.1": "libmagic1t64",
    "libmariadb.so.3": "libmariadb3",
    "libnss3.so": "libnss3",
    "libodbc.so.2": "unixodbc",
    "libopenblas.so.0": "libopenblas0",
    "libpango-1.0.so.0": "libpango-1.0-0 libpangoft2-1.0-0",
    "libpq.so.5": "libpq5",
    "libsndfile.so.1": "libsndfile1",
    "libtk8.6.so": "libtk8.6",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libxcb.so.1": "libxcb1",
    "libxslt.so.1": "libxslt1.1",
    "libzbar.so.0": "libzbar0t64",
}
OTHER_WORDS = (
    (r"MYSQLCLIENT_CFLAGS", "MySQL's client library", MYSQL),
    (r"CMAKE_C(?:XX)?_COMPILER|Unknown compiler\(s\)", "a compiler", PROGRAMS["g++"]),
    (
        r"Rust (?:compiler|toolchain|package manager)|Downloading rustup-init(?s:.+)httpx\.\w+: ",
        "Rust",
        PROGRAMS["cargo"],
    ),
)
"""Words of builds that do not name what they lack: mysqlclient, CMake and Meson, setuptools-rust and maturin.

Without Rust, maturin downloads it (puccinialin 0.1), which may fail.
"""

_ABSENT = re.compile(
    r"(?i)not found|no such file|not installed|not on PATH|(?:can(?:no|')?t|could not|unable to) (?:find|exec)"
)
_PROGRAM = re.compile(
    rf"(?:^|[\s'\"`(\[/])(?:[\w]+-linux-gnu-)?({'|'.join(map(re.escape, PROGRAMS))})"
    r"(?=['\"`]|,|: | (?:executable|command|compiler|is|was|not)\b)"
)
_HEADER = re.compile(r"fatal error: ([\w./+-]+): No such file or directory")
_LIBRARY = re.compile(r"\b(lib[\w.+-]+?\.so[\w.]*): cannot open shared object file")


class MissingTool(NamedTuple):
    """Something that the image lacks.

    Attributes:
        name: a program, header or library, or a few words.
        packages: the Debian packages that have it; empty if they are not known.
    """

    name: str
    packages: str

    @property
    def remedy(self) -> str:
        """What to do about it, without a full stop."""
        if self.packages:
            return f"Build an image FROM this one with `apt-get install {self.packages}`"
        return (
            f"Build an image FROM this one with the Debian package that has {self.name} (https://packages.debian.org)"
        )


def missing_tool(text: str) -> MissingTool | None:
    """The first thing that the output of a build says it did not find; None if it names none that we know."""
    for line in text.splitlines():
        if header := _HEADER.search(line):
            return MissingTool(header[1], HEADERS.get(header[1], ""))
        if _ABSENT.search(line) and (program := _PROGRAM.search(line)):
            return MissingTool(program[1], PROGRAMS[program[1]])
    for pattern, name, packages in OTHER_WORDS:
        if re.search(pattern, text):
            return MissingTool(name, packages)
    return missing_library(text)


def missing_library(text: str) -> MissingTool | None:
    """The shared library that could not be loaded, by the words of the dynamic linker (glibc 2.41); None without any.

    https://sourceware.org/git/?p=glibc.git;a=blob;f=elf/dl-load.c;hb=glibc-2.41
    """
    library = _LIBRARY.search(text)
    return MissingTool(library[1], LIBRARIES.get(library[1], "")) if library else None
