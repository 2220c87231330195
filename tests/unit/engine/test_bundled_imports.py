"""The import bundle: what it holds, and that nothing but the reading of files changes."""

from __future__ import annotations

import compileall
import importlib.util
import json
import os
import py_compile
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import IMPORT_BUNDLE, CacheDirectory
from prefect_uv.engine.start_up._bundled_imports import MOST_KEPT_BYTES
from prefect_uv.engine.start_up.engine_start import RUN_MODULE
from prefect_uv.environments.build import import_bundle
from prefect_uv.environments.build.import_bundle import bundle_baked_imports, write_import_bundle
from prefect_uv.environments.build.verification import site_packages

Run = Callable[..., subprocess.CompletedProcess[str]]
MODULES = {
    "prefect/__init__.py": "",
    "prefect/flow_engine.py": "",
    "prefect/main.py": "import alone, pack.inner.leaf, pack.lazy, spaced.part",
    "alone.py": "def where(): return __file__\nVALUE = 1",
    "later.py": "VALUE = 'later'",
    "pack/__init__.py": "import importlib.resources as r\nDATA = r.files(__name__).joinpath('data.txt').read_text()",
    "pack/data.txt": "a resource",
    "pack/inner/__init__.py": "",
    "pack/inner/leaf.py": "class Leaf:\n    '''A leaf.'''\n\ndef fails():\n    raise ValueError('from a leaf')",
    "pack/lazy.py": "",
    "spaced/part.py": "",
    "both.py": "raise AssertionError('the package of this name comes first')",
    "both/__init__.py": "",
    "both/new.py": "VALUE = 'old'",
    "zipped-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: zipped\nVersion: 1.0\n",
}
REPORT = """
import importlib, importlib.metadata, inspect, json, pickle, pkgutil, sys, traceback
import alone, both, later, pack.inner.leaf
def described(module):
    spec, loader = module.__spec__, module.__loader__
    return [
        getattr(module, "__file__", None), getattr(module, "__cached__", None), list(getattr(module, "__path__", [])),
        module.__package__, spec.name, spec.origin, spec.cached, spec.has_location, spec.parent,
        list(spec.submodule_search_locations or []), spec.loader is loader,
        isinstance(loader, importlib.machinery.SourceFileLoader), getattr(loader, "name", ""),
        getattr(loader, "path", ""),
    ]
try:
    pack.inner.leaf.fails()
except ValueError:
    trace = traceback.format_exc()
modules = {name: module for name, module in sorted(sys.modules.items()) if getattr(module, "__spec__", None)}
print(json.dumps({
    "modules": {name: described(module) for name, module in modules.items()},
    "source": inspect.getsource(pack.inner.leaf.Leaf), "code": alone.where.__code__.co_filename, "trace": trace,
    "names": [info.name for info in pkgutil.walk_packages(pack.__path__, "pack.")],
    "top": sorted(info.name for info in pkgutil.iter_modules() if "site-packages" in info.module_finder.path),
    "data": pack.DATA, "version": importlib.metadata.version("zipped"), "found": importlib.util.find_spec("zipped"),
    "reloaded": importlib.reload(alone).__file__,
    "pickled": type(pickle.loads(pickle.dumps(pack.inner.leaf.Leaf()))).__name__,
    "data again": pack.__loader__.get_data(pack.__file__).decode(),
    "code again": pack.__loader__.get_code("pack").co_filename,
}))
"""

REAL_REPORT = """
import sys
import prefect.flow_engine
modules = {name: module for name, module in sorted(sys.modules.items()) if getattr(module, "__spec__", None)}
print(sum("BundleLoader" in str(module.__spec__.loader) for module in modules.values()) > 400)
print([(name, getattr(module, "__file__", ""), module.__spec__.cached) for name, module in modules.items()])
"""


REPLACED = """
import importlib
open(site + "/later.py", "w").write("VALUE = 22")
importlib.invalidate_caches()
import later
print(later.VALUE)
"""


REPLACED_PACKAGE = """
import importlib
for name in ("__init__", "new"):
    open(site + f"/both/{name}.py", "w").write("VALUE = 22")
importlib.invalidate_caches()
import both.new
print(both.VALUE, both.new.VALUE)
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment with a few compiled modules."""
    environment = tmp_path / "env"
    venv.create(environment, symlinks=True)
    site = site_packages(environment)
    for name, text in MODULES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    compileall.compile_dir(site, quiet=1)
    return environment


@pytest.fixture
def cache(tmp_path: Path) -> CacheDirectory:
    """A cache directory."""
    cache = CacheDirectory(tmp_path / "cache", {os.geteuid()}, tmp_path / "cache" / "uv")
    cache.prepare()
    return cache


@pytest.fixture
def bundle(environment: Path, cache: CacheDirectory) -> Path:
    """The bundle of the environment."""
    write_import_bundle(environment, cache)
    return environment / IMPORT_BUNDLE


@pytest.fixture
def large_bundle(environment: Path, cache: CacheDirectory) -> Path:
    """The bundle of an environment with so much code that an engine does not keep what it has not imported."""
    module = site_packages(environment) / "large.py"
    module.write_text(f"TEXT = {'x' * MOST_KEPT_BYTES!r}")
    py_compile.compile(str(module))
    write_import_bundle(environment, cache)
    return environment / IMPORT_BUNDLE


@pytest.fixture
def run(environment: Path, tmp_path: Path) -> Run:
    """A function that runs a script as an engine is run, with or without a bundle."""

    def run(script: str, *options: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        directory = tmp_path / "code"
        directory.mkdir(exist_ok=True)
        (directory / "flow.py").write_text(script)
        command = [environment / "bin" / "python", *options[1:], RUN_MODULE, *options[:1], "flow.py"]
        return subprocess.run(
            command, cwd=directory, env=variables, check=False, capture_output=True, text=True, timeout=30
        )

    return run


def test_flow_sees_no_difference(run: Run, bundle: Path) -> None:
    """Files, paths, specs, sources, resources, metadata, tracebacks and lists of modules are what they are without."""
    plain, bundled = run(REPORT), run(REPORT, f"--imports={bundle}")
    assert bundled.stderr == plain.stderr == ""
    assert json.loads(bundled.stdout) == json.loads(plain.stdout)


def test_modules_come_from_the_bundle(run: Run, environment: Path, bundle: Path) -> None:
    """Neither sources nor bytecode are read, also after Prefect's import; a package comes before a module."""
    site = site_packages(environment)
    gone = f"import pathlib\nfor path in [*pathlib.Path({str(site)!r}).rglob('*.py*')]: path.unlink()\n"
    done = run(f"{gone}import later, both\nprint(later.VALUE, both.__path__)", f"--imports={bundle}")
    assert done.stdout == f"later ['{site}/both']\n", done.stderr


def test_directories_before_site_packages_win(run: Run, tmp_path: Path, bundle: Path) -> None:
    """A module of the working directory, or on PYTHONPATH, hides one of the bundle."""
    for directory, module in (("code", "later"), ("first", "alone")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / f"{module}.py").write_text("VALUE = 'own'")
    done = run(
        "import alone, later; print(alone.VALUE, later.VALUE)",
        f"--imports={bundle}",
        PYTHONPATH=str(tmp_path / "first"),
    )
    assert done.stdout == "own own\n", done.stderr


def test_edited_module_is_reloaded(run: Run, environment: Path, bundle: Path) -> None:
    """A module is taken from the bundle once; importing it again reads its source."""
    source = site_packages(environment) / "alone.py"
    script = (
        f"import alone, importlib\nopen({str(source)!r}, 'w').write('VALUE = 22')\nprint(importlib.reload(alone).VALUE)"
    )
    assert run(script, f"--imports={bundle}").stdout == "22\n"


@pytest.mark.parametrize("size", ["small", "large"])
def test_small_rest_is_kept(request: pytest.FixtureRequest, run: Run, environment: Path, size: str) -> None:
    """Once Prefect is imported, a small rest of the bundle is in memory, and a large one is not."""
    bundle = request.getfixturevalue("bundle" if size == "small" else "large_bundle")
    gone = [str(path) for path in (bundle, *site_packages(environment).glob("**/later.*"))]
    done = run(
        f"import os\nfor path in {gone}: os.unlink(path)\nimport later\nprint(later.VALUE)", f"--imports={bundle}"
    )
    assert (done.stdout == "later\n") == (size == "small")
    assert ("FileNotFoundError" in done.stderr) == (size == "large")


@pytest.mark.parametrize("size", ["small", "large"])
def test_children_and_descriptors(request: pytest.FixtureRequest, run: Run, size: str) -> None:
    """A spawned process imports as ever; the bundle keeps no descriptor, and closing all of them does no harm."""
    script = (
        "import multiprocessing, os, sys\n"
        "def child(): import later; print(later.VALUE, sys.path_hooks)\n"
        "if __name__ == '__main__':\n"
        "    print(len(os.listdir('/proc/self/fd')), flush=True)\n"
        "    process = multiprocessing.get_context('spawn').Process(target=child); process.start(); process.join()\n"
        "    os.closerange(3, 64); import later\n"
        "    sys.exit(process.exitcode)\n"
    )
    bundle = request.getfixturevalue("bundle" if size == "small" else "large_bundle")
    plain, bundled = run(script), run(script, f"--imports={bundle}")
    assert plain.returncode == bundled.returncode == 0, bundled.stderr
    assert bundled.stdout.split("at 0x")[0] == plain.stdout.split("at 0x")[0]


@pytest.mark.parametrize("options", [("-O",), ("-OO",), ("-X", "pycache_prefix=/tmp/elsewhere")])
def test_python_with_other_bytecode(run: Run, bundle: Path, options: tuple[str, ...]) -> None:
    """Python that would use other bytecode does not use the bundle."""
    done = run("import sys; print('finder' in str(sys.path_hooks[0]))", f"--imports={bundle}", *options)
    assert done.stdout == "False\n", done.stderr


def cut(bundle: Path) -> None:
    """A bundle of which the end is missing."""
    bundle.write_bytes(bundle.read_bytes()[:-1])


def other_magic(bundle: Path) -> None:
    """A bundle of another Python."""
    magic = importlib.util.MAGIC_NUMBER
    bundle.write_bytes(bundle.read_bytes().replace(magic, bytes(reversed(magic)), 1))


def nonsense(bundle: Path) -> None:
    """A file that is no bundle."""
    bundle.write_bytes(b"\xff" * 100)


def package_added(bundle: Path) -> None:
    """A bundle of an environment into which something was installed later."""
    (site_packages(bundle.parent) / "new-1.0.dist-info").mkdir()


@pytest.mark.parametrize("change", [cut, other_magic, nonsense, package_added, Path.unlink])
def test_bundle_that_does_not_fit_is_not_used(run: Run, bundle: Path, change: Callable[[Path], None]) -> None:
    """A bundle that is cut off, of another Python, of another state of the environment, or gone is passed over."""
    script = "import sys, later; print(len(sys.path_hooks), later.VALUE)"
    assert run(script, f"--imports={bundle}").stdout == "3 later\n"
    change(bundle)
    done = run(script, f"--imports={bundle}")
    assert done.stdout == "2 later\n", done.stderr


def test_bundle_replaced_meanwhile(run: Run, large_bundle: Path) -> None:
    """An engine whose bundle is replaced imports the rest as Python does."""
    other = large_bundle.with_name("other")
    other.write_bytes(b"x" * large_bundle.stat().st_size)
    script = f"import os; os.replace({str(other)!r}, {str(large_bundle)!r}); import later; print(later.VALUE)"
    assert run(script, f"--imports={large_bundle}").stdout == "later\n"


@pytest.mark.parametrize(
    "script",
    [
        "import sys; sys.path.insert(0, site + '2'); import later; print(later.__file__)",
        "import sys; sys.path.insert(0, site + '/'); import later; print(later.__file__)",
        "import alone, copy, pickle as p; copy.deepcopy(alone.__spec__); print(p.loads(p.dumps(alone.__loader__)))",
        "import alone, sys; print(type(alone.__loader__).__module__ in sys.modules)",
        REPLACED,
        REPLACED_PACKAGE,
    ],
    ids=["sibling of site-packages", "trailing slash", "copies", "type", "replaced by the flow", "replaced package"],
)
def test_odd_uses(run: Run, environment: Path, bundle: Path, script: str) -> None:
    """Other paths, copies and a package that the flow itself replaces behave as without a bundle."""
    site = site_packages(environment)
    Path(f"{site}2").mkdir()
    code = f"site = {str(site)!r}\n{script}"
    bundled = run(code, f"--imports={bundle}")
    bundle.unlink()
    compileall.compile_dir(site, quiet=1, force=True)
    plain = run(code)
    assert bundled.stdout.split(" at 0x")[0] == plain.stdout.split(" at 0x")[0] != "", bundled.stderr


@pytest.mark.parametrize("kind", ["stale", "extension", "without a source", "cut off", "unchecked"])
def test_only_what_python_would_use_is_bundled(environment: Path, cache: CacheDirectory, run: Run, kind: str) -> None:
    """Bytecode of another source, or behind an extension module, or without a source is left out; `bake`'s is taken."""
    source = site_packages(environment) / "later.py"
    if kind == "stale":
        source.write_text("VALUE = 'another one'")
    elif kind == "extension":
        source.with_name("later.abi3.so").touch()
    elif kind == "without a source":
        source.unlink()
    elif kind == "cut off":
        compiled = Path(importlib.util.cache_from_source(str(source)))
        compiled.write_bytes(compiled.read_bytes()[:16])
    else:
        py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        os.utime(source, (1, 1))
    write_import_bundle(environment, cache)
    script = "import sys; print('later' in sys.path_hooks[0].__self__.modules[''])"
    assert run(script, f"--imports={environment / IMPORT_BUNDLE}").stdout == f"{kind == 'unchecked'}\n"


def test_bundle_is_replaced(environment: Path, bundle: Path, cache: CacheDirectory) -> None:
    """Engines that have opened a bundle keep it when another one takes its place; nothing else is left behind."""
    before = bundle.read_bytes()
    with bundle.open("rb") as opened:
        (site_packages(environment) / "another.py").write_text("")
        py_compile.compile(str(site_packages(environment) / "another.py"))
        write_import_bundle(environment, cache)
        assert opened.read() == before != bundle.read_bytes()
    assert [*cache.builds.iterdir()] == []


def test_no_bundle_without_an_engine(environment: Path, cache: CacheDirectory) -> None:
    """What other programs have compiled in an environment is not bundled, because an engine would lack the rest."""
    for compiled in (site_packages(environment) / "prefect" / "__pycache__").glob("flow_engine.*"):
        compiled.unlink()
    write_import_bundle(environment, cache)
    assert not (environment / IMPORT_BUNDLE).exists()


def test_bundle_has_a_limit(environment: Path, cache: CacheDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into a bundle of the largest size is imported as ever."""
    monkeypatch.setattr(import_bundle, "LARGEST_BUNDLE", 300)
    write_import_bundle(environment, cache)
    assert 0 < (environment / IMPORT_BUNDLE).stat().st_size < 3000


def test_import_of_this_repositorys_tools(tmp_path: Path, cache: CacheDirectory) -> None:
    """Every module of the real Prefect that an engine imports is the same with a bundle."""
    environment = tmp_path / "tools"
    environment.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    bundle_baked_imports(environment, cache, os.environ)
    script = tmp_path / "flow.py"
    script.write_text(REAL_REPORT)
    outputs = [
        subprocess.run(
            [sys.executable, RUN_MODULE, *options, script],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
            env={},
        ).stdout.split("\n")
        for options in ([], [f"--imports={environment / IMPORT_BUNDLE}"])
    ]
    assert [output[0] for output in outputs] == ["False", "True"]
    assert outputs[0][1] == outputs[1][1]
