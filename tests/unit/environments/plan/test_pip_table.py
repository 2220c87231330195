"""uv's configuration files outside the project, without what `[pip]` in them says about other work."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from prefect_uv.environments.uv.pip_table import outside_settings


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A user's configuration directory, with settings of git and of uv."""
    for name, text in {
        "git/config": "[user]\n",
        "uv/uv.toml": "[pip]\nno-index = true\n",
        "uv/.python-version": "3",
    }.items():
        (tmp_path / "user" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "user" / name).write_text(text)
    return tmp_path / "user"


def test_settings_that_choose_packages_stay_where_they_are(user: Path) -> None:
    """uv reads the user's file itself if its `[pip]` is not about other work."""
    with outside_settings({"XDG_CONFIG_HOME": str(user)}, user) as variables:
        assert variables == {}


def test_other_programs_find_their_settings(user: Path, tmp_path: Path) -> None:
    """Only uv.toml is replaced: git, and everything else in the directory, is where it was."""
    (user / "uv" / "uv.toml").write_text('find-links = ["wheels"]\n[pip]\nno-deps = true\nno-index = true\n')
    system = {"XDG_CONFIG_DIRS": f"{tmp_path}/none"}
    with outside_settings({**system, "XDG_CONFIG_HOME": str(user)}, tmp_path) as variables:
        assert [*variables] == ["XDG_CONFIG_HOME"]
        copy = Path(variables["XDG_CONFIG_HOME"])
        assert (copy / "git" / "config").samefile(user / "git" / "config")
        assert (copy / "uv" / ".python-version").samefile(user / "uv" / ".python-version")
        kept = {"find-links": [str(user / "uv" / "wheels")], "pip": {"no-index": True}}
        assert tomllib.loads((copy / "uv" / "uv.toml").read_text()) == kept
    assert not copy.exists()
    assert (user / "git" / "config").is_file()


def test_directories_of_the_system_stay(user: Path, tmp_path: Path) -> None:
    """The copy of the system's file comes first, and everything else is found after it."""
    (user / "uv" / "uv.toml").write_text("[pip]\nno-deps = true\n")
    dirs = f"{tmp_path}/none:{user}"
    with outside_settings({"XDG_CONFIG_DIRS": dirs, "HOME": str(tmp_path)}, tmp_path) as variables:
        first, _, rest = variables["XDG_CONFIG_DIRS"].partition(os.pathsep)
        assert (Path(first, "uv", "uv.toml").is_file(), rest) == (True, dirs)
