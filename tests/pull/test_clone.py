"""git_clone compared with the locked Prefect's own: the same tree and outputs, and equivalent errors."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.pull.git import git_commands as git_module
from tests.pull.conftest import Oracle, Ours, Outcome, Recorder
from tests.pull.repositories import ALLOW_FILE, rich, with_submodule
from tests.pull.servers import HttpsGit, https_git
from tests.unit.conftest import Origin

CLONE = "prefect.deployments.steps.git_clone"
SET = "prefect.deployments.steps.set_working_directory"
SHELL = "prefect.deployments.steps.run_shell_script"
TOKEN = "t0ken-of-tests"  # noqa: S105 (planted)


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a pause."""
    monkeypatch.setattr(git_module, "BACKOFF_SECONDS", 0)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    """A repository with everything, including a submodule."""
    origin = rich(tmp_path_factory.mktemp("origin"))
    with_submodule(origin, "sub", f"file://{origin.path.parent}/sub")
    return origin


@pytest.fixture(scope="module")
def hosted(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsGit]:
    """The same repository over HTTPS."""
    with https_git(origin.path.parent, tmp_path_factory.mktemp("tls")) as running:
        yield running


def both(
    oracle: Oracle, ours: Ours, bases: tuple[Path, Path], steps: list[Any], environ: dict[str, str] | None = None
) -> tuple[Outcome, Outcome]:
    """Perform the steps by Prefect's functions and by ours."""
    return oracle(steps, bases[0], environ or ALLOW_FILE), ours(steps, bases[1], environ or ALLOW_FILE)


def assert_same(theirs: Outcome, own: Outcome) -> None:
    """Both succeeded, with the same outputs, directory and tree."""
    assert (own.error, theirs.error) == ("", "")
    assert own.outputs == theirs.outputs
    assert own.directory == theirs.directory
    assert own.tree == theirs.tree


INPUTS: list[dict[str, Any]] = [
    {},
    {"branch": "main"},
    {"branch": "feature/ünï"},
    {"branch": "v1"},
    {"branch": "empty"},
    {"branch": None, "commit_sha": None, "access_token": None, "credentials": {}},
    {"commit_sha": "@first"},
    {"commit_sha": "@head"},
    {"directories": ["etl"]},
    {"directories": ["etl/deep", "other"]},
    {"directories": ["nowhere"]},
    {"directories": []},
    {"directories": ["etl"], "commit_sha": "@first"},
    {"directories": ["etl"], "branch": "feature/ünï"},
    {"include_submodules": True},
    {"include_submodules": "yes", "branch": "main"},
    {"include_submodules": True, "directories": ["etl"]},
    {"clone_directory_name": "code"},
    {"clone_directory_name": "a/b", "branch": "main"},
    {"clone_directory_name": "with space ünï"},
]


def with_commits(origin: Origin, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with commits in place of `@first` and `@head`."""
    commits = {"@first": origin.git("rev-parse", "v1^{commit}"), "@head": origin.git("rev-parse", "main")}
    return {name: commits.get(value, value) if isinstance(value, str) else value for name, value in inputs.items()}


@pytest.mark.parametrize("inputs", INPUTS, ids=str)
def test_clone(inputs: dict[str, Any], origin: Origin, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """A fresh clone is the same for every parameter."""
    step = {CLONE: {"repository": origin.url, "id": "clone", **with_commits(origin, inputs)}}
    assert_same(*both(oracle, ours, bases, [step]))


@pytest.mark.parametrize("inputs", INPUTS, ids=str)
def test_clone_with_the_mirror(
    inputs: dict[str, Any], origin: Origin, ours: Ours, bases: tuple[Path, Path], tmp_path: Path
) -> None:
    """A clone that is restored from the mirror is the same as the one that was saved."""
    ours.cache = tmp_path / "cache"
    ours.cache.mkdir()
    step = {CLONE: {"repository": origin.url, **with_commits(origin, inputs)}}
    first, second = ours([step], bases[0], ALLOW_FILE), ours([step], bases[1], ALLOW_FILE)
    assert_same(first, second)
    assert any(" (restored) into " in line for line in ours.lines)


REFUSED: list[dict[str, Any]] = [
    {"branch": "main", "commit_sha": "abcd"},
    {"branch": "-x"},
    {"commit_sha": "main"},
    {"commit_sha": "123"},
    {"access_token": "x", "credentials": {"token": "y"}},
    {"credentials": {"username": "u"}},
    {"credentials": {"nothing": "u"}},
    {"credentials": "a text"},
    {"unknown": "x"},
    {"branch": 5},
    {"repository": None},
]
FAILING: list[tuple[dict[str, Any], str]] = [
    ({"branch": "nowhere"}, "revision-not-found"),
    ({"commit_sha": "0" * 40}, "revision-not-found"),
    ({"repository": "file:///nowhere/at/all"}, "repository-not-found"),
    ({"repository": "http://127.0.0.1:9/x"}, "git-unreachable"),
]


@pytest.mark.parametrize("inputs", REFUSED, ids=str)
def test_refused(inputs: dict[str, Any], origin: Origin, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """Inputs that Prefect refuses before git starts are refused."""
    theirs, own = both(oracle, ours, bases, [{CLONE: {"repository": origin.url, **inputs}}])
    assert theirs.error
    assert own.slug == "pull-step-invalid", own
    assert own.tree == theirs.tree == {}


@pytest.mark.parametrize(("inputs", "slug"), FAILING, ids=str)
def test_failing(  # noqa: PLR0913, PLR0917 (both sides of a comparison)
    inputs: dict[str, Any], slug: str, origin: Origin, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]
) -> None:
    """A clone that fails in Prefect fails here, with its own error, and leaves nothing behind."""
    theirs, own = both(oracle, ours, bases, [{CLONE: {"repository": origin.url, **inputs}}])
    assert theirs.error
    assert own.slug == slug, own.error
    assert own.tree == {}


def step_lists(url: str) -> list[list[Any]]:
    """Lists of steps whose paths depend on each other."""
    first = {CLONE: {"repository": url, "id": "one"}}
    return [
        [first, {SET: {"directory": "{{ one.directory }}/etl"}}],
        [first, {SET: {"directory": "flows"}}, {SET: {"directory": "etl"}}],
        [{SHELL: {"script": "mkdir here"}}, {SET: {"directory": "here"}}, first],
        [first, {CLONE: {"repository": url, "id": "two", "clone_directory_name": "second"}}],
        [first, {SHELL: {"id": "head", "script": "cat flow.py", "directory": "{{ one.directory }}"}}],
        [first, {SHELL: {"script": "touch made"}}],
        [first, first],
        [{}, first, None],
        [first, {CLONE: {"repository": url, "branch": "{{ head.stdout }}", "clone_directory_name": "x"}}],
        [{SET: {"directory": "nowhere"}}],
        [first, {SHELL: {"script": "false"}}],
        [first, {SHELL: {"script": "nosuchprogram"}}],
        [{SHELL: {"script": "echo 'unbalanced"}}],
        [{SHELL: {"script": "echo a | tr a b", "shell": True}}, first],
        [{SHELL: {"script": "echo $X ${Y} $Z\n\necho $$", "env": {"X": "x"}, "expand_env_vars": True}}],
        [{SHELL: {"script": "echo a | tr a b\nsh -c 'echo err >&2'", "env": {"X": "x"}}}],
        [{SHELL: {"script": "echo x", "env": {"X": 5}}}],
        [{SHELL: {"script": "pwd", "directory": "nowhere"}}],
    ]


@pytest.mark.parametrize("number", range(len(step_lists(""))))
def test_steps_in_order(number: int, origin: Origin, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """Each step gets the outputs and the directory of the steps before it, as in Prefect."""
    theirs, own = both(oracle, ours, bases, step_lists(origin.url)[number])
    if theirs.error:
        assert own.slug == "pull-step-invalid", theirs.error
    else:
        assert_same(theirs, own)


@pytest.mark.parametrize("inputs", [{}, {"branch": "main"}, {"directories": ["etl"]}], ids=str)
@pytest.mark.parametrize("change", ["commit", "force", "dirty", "none"])
def test_existing_clone(  # noqa: PLR0913, PLR0917 (both sides of a comparison)
    inputs: dict[str, Any], change: str, tmp_path: Path, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]
) -> None:
    """An existing clone is updated to what the server has now."""
    origin = rich(tmp_path / "origin")
    step = {CLONE: {"repository": origin.url, "clone_directory_name": "code", **inputs}}
    assert_same(*both(oracle, ours, bases, [step]))
    for base in bases:
        if change == "dirty":
            (base / "code" / "flow.py").write_text("changed here")
    if change == "force":
        origin.git("reset", "--quiet", "--hard", "HEAD~1")
    if change != "none":
        origin.commit("flow.py", "third")
    assert_same(*both(oracle, ours, bases, [step]))


LOGINS: list[tuple[str, dict[str, Any], str]] = [
    ("github.test", {"access_token": TOKEN}, f"{TOKEN}:"),
    ("github.test", {"credentials": {"token": TOKEN}}, f"{TOKEN}:"),
    ("gitlab.test", {"access_token": TOKEN}, f"oauth2:{TOKEN}"),
    ("gitlab.test", {"credentials": {"token": TOKEN}}, f"oauth2:{TOKEN}"),
    ("gitlab.test", {"credentials": {"token": f"oauth2:{TOKEN}"}}, f"oauth2:{TOKEN}"),
    ("gitlab.test", {"credentials": {"token": f"deploy:{TOKEN}"}}, f"deploy:{TOKEN}"),
    ("bitbucket.test", {"access_token": TOKEN}, f"x-token-auth:{TOKEN}"),
    ("bitbucket.test", {"credentials": {"token": f"x-token-auth:{TOKEN}"}}, f"x-token-auth:{TOKEN}"),
    ("bitbucket.test", {"credentials": {"username": "ada", "password": TOKEN}}, f"ada:{TOKEN}"),
    ("bitbucketserver.test", {"credentials": {"username": "ada", "password": TOKEN}}, f"ada:{TOKEN}"),
    ("bitbucketserver.test", {"credentials": {"token": f"ada:{TOKEN}"}}, f"ada:{TOKEN}"),
    ("dev.azure.com", {"access_token": TOKEN}, f"{TOKEN}:"),
    ("other.test", {"credentials": {"username": "ada", "access_token": "p@ss/w:rd %✓"}}, "ada:p@ss/w:rd %✓"),
    ("other.test", {"access_token": TOKEN}, f"{TOKEN}:"),
]


@pytest.mark.parametrize(("host", "inputs", "pair"), LOGINS, ids=str)
def test_login(  # noqa: PLR0913 (both sides of a comparison)
    *,
    host: str,
    inputs: dict[str, Any],
    pair: str,
    hosted: HttpsGit,
    oracle: Oracle,
    ours: Ours,
    recorder: Recorder,
    bases: tuple[Path, Path],
) -> None:
    """Each provider gets credentials in the only form that its server accepts, and no secret is visible or left."""
    hosted.accepted = {pair}
    step = {CLONE: {"repository": hosted.url(host), **inputs}}
    theirs = oracle([step], bases[0], hosted.environ)
    assert_same(theirs, ours([step], bases[1], {**hosted.environ, **recorder.environ}))
    needles = [pair.rstrip(":").rpartition(":")[2], base64.b64encode(pair.encode()).decode()]
    visible = "\n".join([*ours.lines, recorder.path.read_text()])
    assert not [needle for needle in needles if needle in visible]
    files = [path.read_bytes() for path in bases[1].rglob("*") if path.is_file()]
    assert not [needle for needle in needles for content in files if needle.encode() in content]


FIXED: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "an organisation in an Azure DevOps address",
        "org@",
        {"host": "dev.azure.com", "access_token": TOKEN},
        f"{TOKEN}:",
    ),
    ("a self-hosted GitLab by another name", "", {"host": "git.corp.test", "access_token": TOKEN}, f"oauth2:{TOKEN}"),
    (
        "a user name with a token",
        "",
        {"host": "bitbucketserver.test", "credentials": {"username": "ada", "token": TOKEN}},
        f"ada:{TOKEN}",
    ),
]


@pytest.mark.parametrize(("fault", "userinfo", "inputs", "pair"), FIXED, ids=str)
def test_login_that_fails_in_prefect(  # noqa: PLR0913 (both sides of a comparison)
    *,
    fault: str,
    userinfo: str,
    inputs: dict[str, Any],
    pair: str,
    hosted: HttpsGit,
    oracle: Oracle,
    ours: Ours,
    bases: tuple[Path, Path],
) -> None:
    """A login that fails in Prefect by a fault of its own works."""
    hosted.accepted = {pair}
    host = inputs["host"]
    rest = {name: value for name, value in inputs.items() if name != "host"}
    step = {CLONE: {"repository": hosted.url(host, userinfo=userinfo), **rest}}
    theirs, own = both(oracle, ours, bases, [step], hosted.environ)
    assert theirs.error, f"{fault} works in Prefect now: update docs/reference/pull-steps.md"
    assert own.error == ""
    assert "flows/flow.py" in own.tree


def test_git_within_a_name(tmp_path: Path, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """`my.github.io` is cloned into `my.github.io`, not into `myhub.io`."""
    origin = Origin(tmp_path / "my.github.io")
    origin.commit("flow.py", "first")
    theirs, own = both(oracle, ours, bases, [{CLONE: {"repository": origin.url}}])
    assert theirs.outputs == {"directory": "myhub.io"}
    assert own.outputs == {"directory": "my.github.io"}


def test_short_commit(origin: Origin, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """A short commit works; Prefect allows it, but asks the server, which knows only whole ones."""
    short = origin.git("rev-parse", "--short=8", "v1^{commit}")
    theirs, own = both(oracle, ours, bases, [{CLONE: {"repository": origin.url, "commit_sha": short}}])
    assert theirs.error
    assert own.error == ""


def test_submodules_of_a_commit(origin: Origin, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """Submodules of a commit are checked out."""
    inputs = {"commit_sha": origin.git("rev-parse", "main"), "include_submodules": True}
    theirs, own = both(oracle, ours, bases, [{CLONE: {"repository": origin.url, **inputs}}])
    assert_same(theirs, own)
    assert "flows/sub/inner.txt" in own.tree


def test_private_submodule(tmp_path: Path, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """The credentials give access to submodules on the same host."""
    origin = rich(tmp_path / "origin")
    with https_git(origin.path.parent, tmp_path) as hosted:
        with_submodule(origin, "inner", hosted.url("gitlab.test", "inner"))
        hosted.accepted = {f"oauth2:{TOKEN}"}
        inputs = {"repository": hosted.url("gitlab.test"), "access_token": TOKEN, "include_submodules": True}
        theirs, own = both(oracle, ours, bases, [{CLONE: inputs}], hosted.environ)
    assert_same(theirs, own)
    assert "flows/inner/inner.txt" in own.tree


def add_submodule(origin: Origin, source: Origin, path: str, more: str = "") -> None:
    """Add a submodule with the relative address of a repository next to `origin`."""
    origin.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", source.url, path)
    modules = origin.path / ".gitmodules"
    modules.write_text(modules.read_text().replace(source.url, f"../{source.path.name}") + more)
    origin.commit("flow.py", f"with {path}")


def test_nested_submodules(tmp_path: Path, oracle: Oracle, ours: Ours, bases: tuple[Path, Path]) -> None:
    """Shallow, nested and relative ones are filled as by Prefect, from the mirror too, and after one has moved."""
    leaf, middle, outer = (Origin(tmp_path / "origin" / name) for name in ("leaf", "middle", "flows"))
    leaf.commit("leaf.txt", "leaf")
    add_submodule(middle, leaf, "leaf")
    add_submodule(outer, middle, "lib/middle", "\tshallow = true\n")
    ours.cache = tmp_path / "cache"
    ours.cache.mkdir()
    step = {CLONE: {"repository": outer.url, "include_submodules": True}}
    theirs, own = both(oracle, ours, bases, [step])
    assert_same(theirs, own)
    assert "flows/lib/middle/leaf/leaf.txt" in own.tree
    (tmp_path / "restored").mkdir()
    assert_same(own, ours([step], tmp_path / "restored", {**ALLOW_FILE, "PREFECT_UV_OFFLINE": "true"}))

    shutil.copytree(middle.path, tmp_path / "origin" / "moved")
    outer.git("-C", "../moved", "commit", "--quiet", "--allow-empty", "--message", "only here")
    outer.git("-C", "lib/middle", "-c", "protocol.file.allow=always", "fetch", "--quiet", "../../../moved")
    outer.git("-C", "lib/middle", "checkout", "--quiet", "FETCH_HEAD")
    modules = outer.path / ".gitmodules"
    modules.write_text(modules.read_text().replace("../middle", "../moved"))
    outer.commit("flow.py", "moved")
    assert_same(*both(oracle, ours, bases, [step]))
    (tmp_path / "updated").mkdir()
    assert "flows/lib/middle/leaf/leaf.txt" in ours([step], tmp_path / "updated", ALLOW_FILE).tree
