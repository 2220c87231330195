"""Environments as images in a directory: equal ones have one digest, similar ones share layers, a start finds them."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from images.family import ROOT
from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import (
    BakedMismatchError,
    EnvironmentUnknownError,
    ImageInvalidError,
    ImageNotFoundError,
    PrefectUvError,
    UsageError,
    VolumeUnusableError,
)
from prefect_uv.image_facts import Image
from prefect_uv.registry.image_documents import (
    OCI_INDEX,
    OCI_MANIFEST,
    content_digest,
    encode_document,
    own_architecture,
)
from prefect_uv.registry.image_layout import ImageLayout
from prefect_uv.settings import Settings
from tests.unit.bake.test_image_layer import no_uv, write_groups
from tests.unit.environments.test_full_disk import MOUNTED, PROGRAM
from tests.unit.etl import Etl, environments, leftovers
from tests.unit.images.conftest import ImageCommands, blob_path, layers
from tests.unit.program.test_processes import wait_until
from tests.unit.wheels import build_wheel

NOEXEC = 'mount --bind "$1" "$1" && mount -o remount,bind,noexec "$1" && shift && exec "$@"'
NOTHING_BAKED = """\
error[baked-mismatch]: There is no environment in {0}, and PREFECT_UV_BAKED is `refuse`.

hint: Use the image that has the environment, mount the exported environment there, or set PREFECT_UV_BAKED=build."""


@pytest.fixture
def exported(commands: ImageCommands) -> str:
    """The image of the project's environment, in a directory."""
    return commands.export(commands.layout)


def mounted(image: str, target: Path) -> Path:
    """Unpack an image's layers like an engine that mounts it: nobody can write to it, and somebody else owns it."""
    target.mkdir()
    for digest in layers(image).values():
        with tarfile.open(blob_path(image, digest)) as layer:
            layer.extractall(target, filter="fully_trusted")  # noqa: S202 (our own)
    for path in [target, *target.rglob("*")]:
        if not path.is_symlink():
            os.chown(path, 4711, 0)
    return target


def test_export_of_equal_environments_has_one_digest(commands: ImageCommands, exported: str, tmp_path: Path) -> None:
    """Whenever and on whichever volume it was built, and whatever bytecode runs have left in it."""
    for compiled in commands.cache.rglob("flow_engine.py"):
        subprocess.run([sys.executable, "-m", "compileall", "-q", compiled], check=True, timeout=20)
    assert commands.export(commands.layout) == exported
    elsewhere = {"PREFECT_UV_CACHE_DIR": str(tmp_path / "elsewhere")}
    assert commands.export(f"oci:{tmp_path / 'other'}", **elsewhere).partition("@")[2] == exported.partition("@")[2]
    key = environments(commands.cache)[0].name
    by_key = commands.export(key[:12], f"{commands.layout}:by-key")
    assert commands.export(key, f"{commands.layout}:again") == by_key
    assert {name for name in layers(exported) if layers(exported)[name] != layers(by_key)[name]} <= {"description"}
    assert leftovers(commands.cache) == []


def test_environments_that_differ_in_a_package_share_layers(commands: ImageCommands, etl: Etl) -> None:
    """Of a change of one package, the layer of that package is new, and the description."""
    build_wheel(etl.wheels, "helper", "2.0", {"helper.py": "x = 2\n"})
    images = []
    for version in ("1.0", "2.0"):
        etl.write("prefect", f"helper=={version}")
        etl.lock()
        images.append(layers(commands.export(commands.layout)))
    one, two = images
    assert one.keys() == two.keys()
    changed = {name for name in one if one[name] != two[name]}
    assert len(changed) == 2
    assert changed - {"description"} <= {name for name in one if name.startswith("packages ")}
    assert {"environment", "prefect"} <= one.keys() - changed


def test_mounted_image_is_a_hit(
    commands: ImageCommands, exported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start needs no uv, writes nothing, and may refuse everything else; its modules are compiled already."""
    baked = mounted(exported, tmp_path / "baked")
    commands.etl.wheels.rename(tmp_path / "gone")
    monkeypatch.setattr(Uv, "run", no_uv)
    volume = tmp_path / "empty"
    variables = {"PREFECT_UV_BAKED_DIR": str(baked), "PREFECT_UV_CACHE_DIR": str(volume), "PREFECT_UV_BAKED": "refuse"}
    environment = commands.start(**variables)
    assert environment.hit
    assert environment.path == baked / "environment"
    assert environment.key == environments(commands.cache)[0].name
    assert not volume.exists()
    command = [str(environment.path / "bin" / "python"), "-v", "-m", "prefect.flow_engine"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)
    assert answer.stdout == "engine\n"
    assert f"code object from '{environment.path}" in answer.stderr
    assert "prefect/__pycache__/__init__.cpython-" in answer.stderr


def test_bytecode_names_the_place_of_the_mount(exported: str, tmp_path: Path) -> None:
    """It is used whatever the times of the files are, which every engine sets as it likes."""
    baked = mounted(exported, tmp_path / "baked")
    (compiled,) = baked.glob("environment/lib/*/site-packages/prefect/__pycache__/flow_engine.*.pyc")
    assert compiled.read_bytes()[4:8] == b"\1\0\0\0"
    assert b"/opt/baked/environment/lib/" in compiled.read_bytes()
    assert str(tmp_path).encode() not in compiled.read_bytes()


def test_selection_of_the_export_is_recorded(commands: ImageCommands, etl: Etl, tmp_path: Path) -> None:
    """As `bake` records it: a deployment that selects nothing gets it."""
    write_groups(etl)
    baked = mounted(commands.export("--group", "extra", commands.layout), tmp_path / "baked")
    (record,) = (baked / "selections" / "v1").iterdir()
    assert json.loads(record.read_text())["selection"]["groups"] == ["extra"]


def test_start_without_the_mount_is_refused(commands: ImageCommands, tmp_path: Path) -> None:
    """PREFECT_UV_BAKED=refuse is a policy: a forgotten mount does not switch it off, nor does a volume that fits."""
    os.close(commands.start().lease)
    nowhere = tmp_path / "nowhere"
    for volume in (commands.cache, tmp_path / "empty"):
        variables = {"PREFECT_UV_CACHE_DIR": str(volume), "PREFECT_UV_BAKED_DIR": str(nowhere)}
        with pytest.raises(BakedMismatchError) as raised:
            commands.start(PREFECT_UV_BAKED="refuse", **variables)
        assert raised.value.render() == NOTHING_BAKED.format(nowhere)


def test_mount_without_exec_is_explained(exported: str, etl: Etl, image: Image, tmp_path: Path) -> None:
    """Some runtimes mount images noexec: nothing can be loaded from there, and the line says so."""
    baked = mounted(exported, tmp_path / "baked")
    done = program(
        etl, image, "sync", mount=[*MOUNTED[:-2], NOEXEC, "sh", str(baked)], PREFECT_UV_BAKED_DIR=str(baked),
        PREFECT_UV_CACHE_DIR=str(tmp_path / "empty"), PREFECT_UV_BAKED="refuse",
    )  # fmt: skip
    assert done.returncode == 76, done.stderr
    assert f"fits, but {baked} is mounted noexec" in done.stderr


def program(
    etl: Etl, image: Image, *words: str, mount: list[str], **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the real program in a mount namespace of its own."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "entrypoint" / "src"), **variables}
    command = [*mount, sys.executable, "-c", PROGRAM, *words, json.dumps(asdict(image))]
    return subprocess.run(
        command, cwd=etl.directory, env=environ, check=False, capture_output=True, text=True, timeout=60
    )


def test_imported_environment_is_a_hit(
    commands: ImageCommands, exported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an empty volume, without uv; a second import reads the description alone."""
    volume = {"PREFECT_UV_CACHE_DIR": str(tmp_path / "empty")}
    key = commands.take(exported, **volume)
    monkeypatch.setattr(Uv, "run", no_uv)
    environment = commands.start(**volume)
    assert (environment.key, environment.hit) == (key, True)
    assert environment.run_cache
    answer = subprocess.run([environment.path / "bin" / "python", "-m", "prefect.flow_engine"], check=True, timeout=20)
    assert answer.returncode == 0
    for path in environment.path.rglob("*"):
        assert path.is_symlink() or path.stat().st_mode & 0o022 == 0o020, f"{path}: the group shares it"
    assert commands.take(exported, **volume) == key
    assert leftovers(tmp_path / "empty") == []


def test_import_to_where_baked_environments_are(
    commands: ImageCommands, exported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an init container does for an emptyDir: nothing but the environment, its index and its selection is left."""
    directory = tmp_path / "baked"
    directory.mkdir()
    baked = {"PREFECT_UV_BAKED_DIR": str(directory)}
    for _ in range(2):
        commands.take("--baked", exported, **baked)
    assert sorted(path.name for path in directory.iterdir()) == ["envs", "index", "selections"]
    assert [path.name for path in (directory / "envs").iterdir()] == ["v1"]
    monkeypatch.setattr(Uv, "run", no_uv)
    environment = commands.start(PREFECT_UV_BAKED="refuse", PREFECT_UV_CACHE_DIR=str(tmp_path / "empty"), **baked)
    assert environment.path.is_relative_to(directory)


def test_killed_import_leaves_no_environment(
    commands: ImageCommands, exported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was unpacked is in a build directory, which the next collection of garbage removes."""
    volume = tmp_path / "empty"
    fetch, ended = ImageLayout.fetch_blob, multiprocessing.get_context("fork").Event()

    def fetch_slowly(store: ImageLayout, *blob: object) -> None:
        fetch(store, *blob)  # type: ignore[arg-type]
        if list(volume.glob("envs/tmp/*/root/environment/lib/*/site-packages/prefect")):
            ended.wait()

    with monkeypatch.context() as patch:
        patch.setattr(ImageLayout, "fetch_blob", fetch_slowly)
        words = [exported]
        process = multiprocessing.get_context("fork").Process(
            target=commands.take, args=words, kwargs={"PREFECT_UV_CACHE_DIR": str(volume)}
        )
        process.start()
        wait_until(lambda: any(volume.glob("envs/tmp/*/root/environment/lib/*/site-packages/prefect")))
        process.kill()
        process.join()
    assert environments(volume) == []
    assert leftovers(volume) != []
    assert commands.take(exported, PREFECT_UV_CACHE_DIR=str(volume)) == environments(volume)[0].name
    cache = CacheDirectory(volume, frozenset({os.geteuid()}), volume / "uv")
    collect_garbage(cache, Settings.from_environ({}), commands.log)
    assert leftovers(volume) == []


def test_volume_that_is_too_small_is_explained(exported: str, etl: Etl, image: Image, tmp_path: Path) -> None:
    """The import ends with the error of a full volume, and nothing is published."""
    volume = tmp_path / "small"
    volume.mkdir()
    done = program(
        etl, image, "import", exported, mount=[*MOUNTED, "size=20k", str(volume)], PREFECT_UV_CACHE_DIR=str(volume)
    )
    assert done.returncode == 77, done.stderr
    assert f"error[volume-full]: No space is left on {volume}." in done.stderr
    assert "removing what no run uses" in done.stderr


@pytest.mark.parametrize("blob", ["layer", "config's manifest"])
def test_content_that_is_not_what_its_digest_says(
    commands: ImageCommands, exported: str, blob: str, tmp_path: Path
) -> None:
    """Neither a layer nor the manifest; nothing of the image is used."""
    path = blob_path(exported, layers(exported)["prefect"] if blob == "layer" else "")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    volume = tmp_path / "empty"
    with pytest.raises(ImageInvalidError, match="is not what its digest says") as raised:
        commands.take(exported, PREFECT_UV_CACHE_DIR=str(volume))
    assert f"wanted: {path.parent.name}:{path.name}\nfound:  sha256:" in raised.value.found
    assert environments(volume) == leftovers(volume) == []


def test_image_with_another_environment_than_it_says(commands: ImageCommands, exported: str) -> None:
    """The annotation is compared with the description, and that with its own key."""
    document = json.loads(blob_path(exported).read_bytes())
    document["annotations"]["prefect-uv.key"] = "0" * 64
    index = Path(exported.removeprefix("oci:").partition("@")[0]) / "index.json"
    path = index.parent / "changed"
    path.write_text(json.dumps(document))
    digest = subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True, timeout=20).stdout[:64]
    path.rename(index.parent / "blobs" / "sha256" / digest)
    with pytest.raises(ImageInvalidError, match="it contains another environment than it says"):
        commands.take(f"{exported.partition('@')[0]}@sha256:{digest}", PREFECT_UV_CACHE_DIR=str(index.parent / "cache"))


def test_environment_for_another_image_is_refused(
    commands: ImageCommands, exported: str, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No start here would ever find it."""
    newer = replace(image, python_version="3.99.1")
    monkeypatch.setattr(Image, "read", classmethod(lambda *_: newer))
    with pytest.raises(ImageInvalidError) as raised:
        commands.take(exported)
    assert raised.value.headline == f"{exported} has an environment for another image than this one."
    assert f"Python {image.python_version}, " in raised.value.found
    assert "Python 3.99.1, " in raised.value.found


def test_volume_that_cannot_be_written_to(commands: ImageCommands, exported: str, tmp_path: Path) -> None:
    """An import into a directory that ends with the container would be for nothing."""
    with pytest.raises(VolumeUnusableError, match="is read-only"):
        commands.take(exported, PREFECT_UV_CACHE_READONLY="true", PREFECT_UV_CACHE_DIR=str(tmp_path))


@pytest.mark.parametrize(
    ("words", "error", "headline"),
    [
        (["--", "ab", "oci:x"], UsageError, "'ab' is not the beginning of a key"),
        (["0123456789ab", "oci:x"], EnvironmentUnknownError, "No environment has a key that begins with 0123456789ab"),
        (["registry.example.com/Etl"], UsageError, "'registry.example.com/Etl' is not the name of an image"),
        ([f"oci:x@sha256:{'0' * 64}"], UsageError, "has a digest already"),
    ],
)
def test_export_that_cannot_be(
    commands: ImageCommands, words: list[str], error: type[PrefectUvError], headline: str
) -> None:
    """Each mistake is named before anything is built."""
    with pytest.raises(error) as raised:
        commands.export(*words)
    assert headline in raised.value.headline
    assert environments(commands.cache) == []


def test_export_with_extra_packages_is_refused(commands: ImageCommands) -> None:
    """A start would look for two environments, and the image has one."""
    with pytest.raises(UsageError, match="the project has extra packages"):
        commands.export(commands.layout, PREFECT_UV_EXTRA_PACKAGES="helper==1.0")


def test_several_images_in_a_directory(commands: ImageCommands, etl: Etl, exported: str) -> None:
    """Each is found by its tag; without one, the directory must have a single image."""
    etl.write("prefect", "helper")
    etl.lock()
    other = commands.export(f"{commands.layout}:other")
    with pytest.raises(ImageNotFoundError, match="There is no image"):
        commands.take(commands.layout)
    key = commands.take(f"{commands.layout}:other")
    assert json.loads(blob_path(other).read_bytes())["annotations"]["prefect-uv.key"] == key
    assert commands.take(exported) != key


def test_export_with_a_python_that_uv_has_installed(commands: ImageCommands) -> None:
    """A container that mounts the environment would not have it."""
    with pytest.raises(UsageError, match="is not in this image"):
        commands.export(commands.layout, PREFECT_UV_BAKED_DIR=sys.base_prefix)


def write_index(image: str, *architectures: str) -> str:
    """Write an index of several platforms next to an image, and return its name."""
    size = blob_path(image).stat().st_size
    entry = {"mediaType": OCI_MANIFEST, "digest": image.partition("@")[2], "size": size}
    manifests = [{**entry, "platform": {"architecture": one, "os": "linux"}} for one in architectures]
    data = encode_document({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
    name = f"{image.partition('@')[0]}@{content_digest(data)}"
    blob_path(name).write_bytes(data)
    return name


def test_image_for_several_platforms(commands: ImageCommands, exported: str, tmp_path: Path) -> None:
    """The one for this machine is imported; an index without it is refused."""
    index = write_index(exported, "riscv64", own_architecture())
    key = commands.take(index, PREFECT_UV_CACHE_DIR=str(tmp_path / "empty"))
    assert key == environments(commands.cache)[0].name
    with pytest.raises(ImageInvalidError, match=f"has no environment for {own_architecture()}"):
        commands.take(write_index(exported, "riscv64"))
