"""A release in a registry that wants a password: its tags, signatures, statements, and what a container of it is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from images.family import Family
from images.process import ToolError
from images.release import bill_of_materials, provenance
from images.release.publish import DIGESTS, ENVELOPE, PUBLIC_KEY, Release
from images.release.registry import Repository
from images.release.signing import PublicKey, SigningKey
from images.release.verify import verify
from tests.commands import shell
from tests.images.containers import Runner
from tests.stack.registry import Registry, ensure_program

CONFIGURATION = """
version: 0.1
storage: {filesystem: {rootdirectory: registry}}
auth: {htpasswd: {realm: prefect-uv, path: registry.htpasswd}}
http:
  addr: 127.0.0.1:5000
"""
SOURCE = "https://git.example/prefect-uv"
INSTALLED = "import importlib.metadata as m; print(*sorted({d.metadata['Name'] for d in m.distributions()}), sep='\\n')"


@dataclass(frozen=True)
class Released:
    """A release in a registry, and the folder with its files and with the registry's login."""

    release: Release
    repository: Repository
    key: PublicKey
    folder: Path
    page: str

    @property
    def tag(self) -> str:
        """The image's tag that never moves."""
        return f"{self.release.family.version}-py313"


@pytest.fixture(scope="module")
def released(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    """The image py313, released into a registry."""
    folder = tmp_path_factory.mktemp("release")
    ensure_program("htpasswd", "apache2-utils")
    shell("htpasswd -Bbc registry.htpasswd flows pass", folder)
    with Registry.start(folder, CONFIGURATION) as registry, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(folder))
        shell(f"docker login --username flows --password-stdin {registry.address} <<< pass", folder)
        name = f"{registry.address}/prefect-uv"
        release = Release(family, name, folder / "dist")
        release.build(["py313"], cached=True)
        release.push(SigningKey.throw_away(), SOURCE)
        release.write_page(folder / "images.md")
        key = PublicKey.read(folder / "dist" / PUBLIC_KEY)
        yield Released(release, Repository(name), key, folder, (folder / "images.md").read_text())


@pytest.fixture
def pulled(released: Released, engine: docker.DockerClient) -> Iterator[Runner]:
    """Runs containers of the image as the engine pulls it, by its digest."""
    name = f"{released.repository.name}@{released.release.images[0].index['digest']}"
    shell(f"docker pull {name}", released.folder)
    yield Runner(engine, name)
    engine.images.remove(name)


def test_pulled_image_is_the_one_that_was_built(released: Released, pulled: Runner, family: Family) -> None:
    """A container of the pulled image is of the version, the Python and the uv that the tags name."""
    facts = json.loads(pulled.succeed(["cat", "/opt/prefect-uv/image.json"]))
    assert pulled.succeed(["uv", "--version"]).split()[1] == facts["uv"]
    (image,) = released.release.images
    minor = family.prefect.rpartition(".")[0]
    expected = {f"{family.version}-py313", "py313", f"py313-uv{facts['uv']}", f"py313-prefect{minor}"}
    assert expected == set(image.tags[:-1])
    assert {released.repository.manifest(tag)[0] for tag in image.tags} == {image.index["digest"]}
    assert pulled.succeed(["id", "--user"]) == "1000\n"


def test_release_is_verified(released: Released) -> None:
    """The public key is all that it takes to verify what the registry has."""
    (image,) = verify(released.repository, [released.tag], released.key)
    assert image.commit == released.release.commit
    assert image.digest == released.release.images[0].index["digest"]
    assert (released.folder / "dist" / DIGESTS).read_text().startswith(f"{released.repository.name}@{image.digest} ")


def test_other_key_other_image_and_unsigned_image_are_refused(released: Released) -> None:
    """Nobody else's signature counts, nor a signature of another image, nor none."""
    with pytest.raises(ToolError, match="is not by this key"):
        verify(released.repository, [released.tag], SigningKey.throw_away().public)
    layout = released.release.layout
    manifest = released.release.images[0].platforms[0].manifest
    unsigned = layout.add_index([manifest, manifest])
    released.repository.tag(layout, unsigned, "unsigned")
    with pytest.raises(ToolError, match=r"has no sha256-.*\.sig"):
        verify(released.repository, ["unsigned"], released.key)
    payload, annotations = released.repository.signature(manifest["digest"])
    released.repository.push_signature(layout, unsigned["digest"], payload, annotations)
    with pytest.raises(ToolError, match=f"the signature is of {manifest['digest']}"):
        verify(released.repository, ["unsigned"], released.key)


def test_tag_of_another_version_is_refused(released: Released) -> None:
    """An image that is signed, but under the name of another version, such as an older one with a known fault."""
    released.repository.tag(released.release.layout, released.release.images[0].index, "99.0.0-py313")
    with pytest.raises(ToolError, match=f"99.0.0-py313 is {released.tag}"):
        verify(released.repository, ["99.0.0-py313"], released.key)


def test_statements_of_others_change_nothing(released: Released) -> None:
    """Whoever may push may attach statements; those that are not by the key are none."""
    manifest = released.release.images[0].platforms[0].manifest
    statement = SigningKey.throw_away().sign_statement("r", manifest["digest"], provenance.PREDICATE_TYPE, {})
    repository = Repository(f"{released.repository.name}-signed-twice")
    release = Release(released.release.family, repository.name, released.folder / "twice")
    release.layout, release.images = released.release.layout, released.release.images
    key = SigningKey.throw_away()
    release.push(key, SOURCE)
    repository.attach(release.layout, manifest, statement, ENVELOPE)
    (image,) = verify(repository, [released.tag], key.public)
    assert image.commit == release.commit


def test_statements_refer_to_the_image(released: Released) -> None:
    """The bill of materials is attached as it is, and signed beside the provenance."""
    digest = released.release.images[0].platforms[0].manifest["digest"]
    attached = released.repository.referrers(digest)
    assert [one["artifactType"] for one in attached] == [bill_of_materials.MEDIA_TYPE, ENVELOPE, ENVELOPE]
    statements = {}
    for one in attached[1:]:
        (layer,) = released.repository.manifest(one["digest"])[1]["layers"]
        kind, predicate = released.key.verify_statement(released.repository.blob(layer["digest"]), digest)
        statements[kind] = predicate
    built = statements[provenance.PREDICATE_TYPE]["buildDefinition"]
    assert built["resolvedDependencies"] == [{"uri": f"git+{SOURCE}", "digest": {"gitCommit": released.release.commit}}]
    assert built["externalParameters"]["image"] == "py313"


def test_bill_of_materials_is_valid_and_complete(released: Released, pulled: Runner) -> None:
    """It satisfies CycloneDX's schema, and lists what dpkg and the environments themselves list."""
    materials = released.release.images[0].platforms[0].materials
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(materials.decode()) is None
    components = json.loads(materials)["components"]
    debian = {one["name"] for one in components if one["purl"].startswith("pkg:deb/")}
    assert debian == set(pulled.succeed(["dpkg-query", "--show", "--showformat=${Package}\\n"]).split())
    python = {one["name"] for one in components if one["purl"].startswith("pkg:pypi/")}
    environments = ("/opt/prefect-uv/bin/python", "/opt/prefect-client/bin/python")
    installed = {name for one in environments for name in pulled.succeed([one, "-I", "-c", INSTALLED]).split()}
    assert python == installed | {"uv"}
    unlicensed = [one["name"] for one in components if not one.get("licenses")]
    assert len(unlicensed) < len(components) / 4, unlicensed


def test_page_lists_the_image_and_its_packages(released: Released) -> None:
    """The page has the digest, the sizes, and a row for each package."""
    (image,) = released.release.images
    assert f"`{image.index['digest']}`" in released.page
    assert f"| {image.platforms[0].size / 1e6:.1f} MB |" in released.page
    for package in (*image.platforms[0].contents.debian, *image.platforms[0].contents.python):
        assert f"| {package.name} | {package.version} |" in released.page


def test_registry_without_a_login_is_named(released: Released, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do."""
    monkeypatch.setenv("DOCKER_CONFIG", str(released.folder / "nobody"))
    with pytest.raises(ToolError, match=r"the registry wants a login: `docker login 127"):
        Repository(released.repository.name)


def test_version_never_moves_and_a_rebuild_moves_the_rest(released: Released, family: Family) -> None:
    """Another image cannot have the same version; a rebuild moves the tags that may move."""
    name = f"{released.repository.name}-rebuilt"
    release = Release(family, name, released.folder / "dist")
    release.images = released.release.images
    release.push(SigningKey.throw_away(), SOURCE)
    (image,) = release.images
    changed = release.layout.add_index([image.platforms[0].manifest, image.platforms[0].manifest])
    release.images = [dataclasses.replace(image, index=changed)]
    with pytest.raises(ToolError, match=f"{name}:{released.tag} is another image, and that tag never moves"):
        release.push(SigningKey.throw_away(), SOURCE)
    release.push(SigningKey.throw_away(), SOURCE, rebuilt=True)
    repository = Repository(name)
    digests = [repository.manifest(tag)[0] for tag in image.tags]
    assert digests == [image.index["digest"], *[changed["digest"]] * (len(image.tags) - 1)]
