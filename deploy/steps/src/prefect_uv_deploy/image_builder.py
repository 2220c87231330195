"""From a build to an image: looked up in the registry or the engine, and built only if neither has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from docker.utils import parse_repository_tag
from prefect.settings import PREFECT_DEFAULT_DOCKER_BUILD_NAMESPACE

from prefect_uv_deploy.buildkit import BuildKitClient
from prefect_uv_deploy.engine import Engine
from prefect_uv_deploy.errors import BuildFailedError, DeployError, RegistryError
from prefect_uv_deploy.image_build import ImageBuild
from prefect_uv_deploy.registry import Repository
from prefect_uv_deploy.working_tree import size_warning


@dataclass(frozen=True)
class FoundImage:
    """An image that has what the build wants.

    Attributes:
        name: its name, without tag.
        tag: the tag that its inputs decide.
        digest: its digest in the registry; empty if only the engine has it.
        key_tag: the tag of the environment's key; empty if it was not needed to find the image.
        built: it was built now.
    """

    name: str
    tag: str
    digest: str = ""
    key_tag: str = ""
    built: bool = False

    @property
    def reference(self) -> str:
        """What a job's variables can use: by digest, if it has one."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


@dataclass(frozen=True)
class ImageBuilder:
    """Finds or builds images of one name.

    Attributes:
        name: the image's name, without tag; its registry comes first.
        ask_registry: whether a registry may have the image.
        say: prints a line.
    """

    name: str
    ask_registry: bool
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        """Refuse a name with a tag, which the contents decide.

        Raises:
            DeployError: it has one.
        """
        if parse_repository_tag(self.name)[1]:
            raise DeployError(
                f"The image's name {self.name} has a tag or a digest: leave it out, it follows from the files."
            )

    @property
    def repository(self) -> Repository:
        """The image's repository in the registry."""
        return Repository.of(self.name)

    def find_or_build(self, build: ImageBuild) -> FoundImage:
        """The image; a known one costs one request to the registry, or one to the engine.

        Raises:
            DeployError: it cannot be built, or the registry cannot be asked.
        """
        found = FoundImage(self.name, build.inputs_tag)
        if self.ask_registry and (digest := self.repository.digest(found.tag)):
            self.say(f"nothing to build: the registry has {self.name}:{found.tag}")
            return replace(found, digest=digest)
        if build.platforms:
            return self._build_for_platforms(build, found)
        with Engine(self.say) as engine:
            if not self.ask_registry and engine.image_id(f"{self.name}:{found.tag}"):
                self.say(f"nothing to build: the engine has {self.name}:{found.tag}")
                return found
            return self._find_by_key(engine, build, found)

    def push(self, found: FoundImage) -> FoundImage:
        """Push an image that the registry does not have.

        Raises:
            RegistryError: the registry refuses it.
        """
        if found.digest:
            return found
        with Engine(self.say) as engine:
            self.say(f"pushing {self.name}:{found.tag}")
            for tag in filter(None, (found.key_tag, found.tag)):
                digest = engine.push(self.name, tag)
        return replace(found, digest=digest)

    def _find_by_key(self, engine: Engine, build: ImageBuild, found: FoundImage) -> FoundImage:
        """The files are new: ask the base image for the key, and build only if that is new too."""
        base_id = engine.ensure(build.base)
        found = replace(found, key_tag=build.key_tag(engine.key(build), base_id))
        by_key = f"{self.name}:{found.key_tag}"
        if self.ask_registry and (digest := self.repository.digest(found.key_tag)):
            self.say(f"nothing to build: the registry has {by_key}")
            self.repository.add_tag(digest, found.tag)
            return replace(found, digest=digest)
        if engine.image_id(by_key):
            self.say(f"nothing to build: the engine has {by_key}")
            engine.tag(by_key, self.name, found.tag)
            return found
        self._warn(build)
        self.say(f"building {by_key} FROM {build.base}")
        engine.build(build, [by_key, f"{self.name}:{found.tag}"])
        return replace(found, built=True)

    def _build_for_platforms(self, build: ImageBuild, found: FoundImage) -> FoundImage:
        """Each platform has a key of its own, so the inputs alone decide; only a registry can hold the result."""
        platforms = ", ".join(build.platforms)
        if not self.ask_registry:
            raise RegistryError(f"A build for {platforms} needs a registry in the image's name.")
        client = BuildKitClient.find(self.say)
        if client is None or not client.has_buildx:
            raise BuildFailedError(f"A build for {platforms} needs Docker's buildx.")
        self._warn(build)
        digest = client.build_and_push(build, f"{self.name}:{found.tag}")
        return replace(found, digest=digest, built=True)

    def _warn(self, build: ImageBuild) -> None:
        if warning := size_warning(build.directory, build.files):
            self.say(f"warning: {warning}")


def with_base_digest(build: ImageBuild) -> ImageBuild:
    """The build FROM the image that the base's registry has under its tag now.

    Raises:
        RegistryError: the registry has no such image.
    """
    name, tag = parse_repository_tag(build.base)
    if tag and ":" in tag:
        return build
    digest = Repository.of(name).digest(tag or "latest")
    if not digest:
        raise RegistryError(f"The registry has no base image {build.base}.")
    return replace(build, base=f"{name}@{digest}")


def names_registry(name: str) -> bool:
    """Whether an image's name begins with a registry, by Docker's own rule."""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def with_default_namespace(name: str) -> str:
    """An image's name below Prefect's PREFECT_DEFAULT_DOCKER_BUILD_NAMESPACE, if it has no part before it."""
    namespace = PREFECT_DEFAULT_DOCKER_BUILD_NAMESPACE.value()
    return f"{namespace}/{name}" if namespace and "/" not in name else name
