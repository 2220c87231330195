"""The steps for `prefect.yaml`: `build_image` in `build`, `push_code` in `push`, `pull_code` in `pull`.

In prefect-uv's images, the entrypoint performs `pull_code` itself. This one is for runs elsewhere.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect_uv_deploy.code_stores import CodeStore
from prefect_uv_deploy.errors import CodeStoreError
from prefect_uv_deploy.tree_archive import unpack_verified, write_tree
from prefect_uv_deploy.working_tree import listed_files, megabytes, size_warning

SUFFIX = ".tar.gz"
DIGEST = re.compile(r"[0-9a-f]{64}")


def build_image(  # noqa: PLR0913 (each is an input of the step)
    *,
    image_name: str,
    base: str,
    directory: str = ".",
    groups: Sequence[str] | str | None = None,
    only_groups: Sequence[str] | str | None = None,
    extras: Sequence[str] | str | None = None,
    package: str | None = None,
    project: str | None = None,
    job_variables: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    code: bool = False,
    version: str | None = None,
    include: Sequence[str] = (),
    push: bool | None = None,
    pull: bool = False,
    platforms: Sequence[str] = (),
    build_args: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
    network: str | None = None,
) -> dict[str, Any]:
    """Bake the project into an image, unless the registry or the engine has it already.

    Args:
        image_name: the image's name without tag, such as `registry.example.com/team/etl`.
        base: an image of prefect-uv, or one that was built FROM one.
        directory: the root of the project's files.
        groups: dependency groups, in addition.
        only_groups: dependency groups, instead of the project's dependencies.
        extras: extras of the project.
        package: the member of a workspace.
        project: the project's directory or script, relative to `directory`.
        job_variables: the deployment's; variables in `env` that change the environment are used for the build.
        environment: further variables of the build, such as `UV_DEFAULT_INDEX`.
        code: put the code into the image too.
        version: install the project too, and give the image this version.
        include: patterns of further files that decide the environment.
        push: push to the registry; by default, if the name begins with one.
        pull: ask the base's registry which image its tag is now.
        platforms: build for these platforms, with buildx.
        build_args: proxies and the like.
        secrets: names of variables that are set where you deploy and that only the build may see.
        network: the network of the build.

    Returns:
        `image`, by digest if it is in a registry; `image_name`, `tag` and `digest`; `directory`, that of the code in
        the image; `built`, whether it was built now.

    Raises:
        DeployError: the image cannot be built, or the registry cannot be asked.
    """
    from prefect_uv_deploy.image_build import CODE_DIRECTORY, ImageBuild  # noqa: PLC0415 (a pull step needs no Docker)
    from prefect_uv_deploy.image_builder import ImageBuilder, names_registry, with_base_digest, with_default_namespace  # noqa: PLC0415
    from prefect_uv_deploy.selection import bake_options, build_environment  # noqa: PLC0415

    build = ImageBuild(
        base=base,
        directory=Path(directory).resolve(),
        options=bake_options(groups, only_groups, extras, package, project),
        environment=build_environment(job_variables, environment),
        code=code,
        version=None if version is None else str(version),
        include=tuple(include),
        platforms=tuple(platforms),
        build_args=dict(build_args or {}),
        secrets=tuple(secrets),
        network=network,
    )
    build = with_base_digest(build) if pull else build
    name = with_default_namespace(image_name)
    pushed = names_registry(name) if push is None else push
    builder = ImageBuilder(name, pushed, say)
    found = builder.find_or_build(build)
    if pushed:
        found = replace(builder.push(found), built=found.built)
    return {
        "image": found.reference,
        "image_name": found.name,
        "tag": found.tag,
        "digest": found.digest,
        "directory": CODE_DIRECTORY if build.has_code else "",
        "built": found.built,
    }


def push_code(
    *,
    destination: str,
    directory: str = ".",
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Store the working tree as it is, committed or not, without what git ignores.

    Args:
        destination: a directory, or an address below which to store: `file://`, `http(s)://`, `s3://`, `gs://`, `az://`.
        directory: the root of the tree.
        token: a bearer token for http(s).
        headers: further headers for http(s).
        storage_options: fsspec's options for any other scheme.

    Returns:
        `url` and `sha256`, which pull_code needs; `stored`, whether it was not there already.

    Raises:
        DeployError: git cannot list the files, or the store cannot be written to.
    """
    root = Path(directory).resolve()
    names = listed_files(root)
    if not names:
        raise CodeStoreError(f"git lists no files in {root}: the directory is empty, or is ignored itself.")
    if warning := size_warning(root, names):
        say(f"warning: {warning}")
    with tempfile.TemporaryDirectory(prefix="prefect-uv-deploy-") as private:
        tree = Path(private) / "tree.tar"
        with tree.open("wb") as file:
            digest = write_tree(root, names, file)
        packed = Path(private) / f"{digest}{SUFFIX}"
        with tree.open("rb") as source, gzip.GzipFile(filename=str(packed), mode="wb", mtime=0) as target:
            shutil.copyfileobj(source, target)
        base = destination if "://" in destination else str(Path(destination).resolve())
        url = f"{base.rstrip('/')}/{packed.name}"
        stored = CodeStore(url, token, headers or {}, storage_options or {}).put(packed)
        action = f"stored ({megabytes(packed.stat().st_size)})" if stored else "in the store already"
    say(f"{len(names)} files as code {digest[:12]}: {action}")
    return {"url": url, "sha256": digest, "stored": stored}


def pull_code(  # noqa: PLR0913 (each is an input of the step)
    *,
    url: str,
    sha256: str,
    directory: str | None = None,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Unpack what push_code has stored into a directory below the working directory.

    Args:
        url: the archive's address, from push_code.
        sha256: its hash, from push_code.
        directory: the name of the directory; by default, one with the hash.
        token: a bearer token for http(s).
        headers: further headers for http(s).
        storage_options: fsspec's options for any other scheme.

    Returns:
        `directory`, which becomes the flow's working directory.

    Raises:
        CodeStoreError: the archive cannot be fetched, or is not the one that was pushed.
    """
    if not DIGEST.fullmatch(sha256):
        raise CodeStoreError(f"pull_code's sha256 {sha256!r} is not 64 hexadecimal digits.")
    name = directory or f"code-{sha256[:12]}"
    target = (Path.cwd() / name).resolve()
    if target == Path.cwd().resolve() or not target.is_relative_to(Path.cwd().resolve()):
        raise CodeStoreError(f"pull_code's directory {name} is not below {Path.cwd()}.")
    if directory and target.exists():
        raise CodeStoreError(f"pull_code's directory {target} exists already.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as file:
        CodeStore(url, token, headers or {}, storage_options or {}).get(file)
        file.seek(0)
        unpack_verified(file, sha256, target)
    return {"directory": str(target)}


def say(line: str) -> None:
    """Print a line, as other steps do."""
    print(f"prefect-uv-deploy: {line}", flush=True)  # noqa: T201 (`prefect deploy` shows what steps print)
