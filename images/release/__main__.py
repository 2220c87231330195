"""The command line of releases: `python -m images.release publish --version 1.2.0 --registry localhost:5000`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from images.build import PAGE
from images.family import ROOT, Family, foreign, read
from images.process import ToolError, say
from images.release.publish import DIST, PUBLIC_KEY, Release
from images.release.registry import Repository
from images.release.signing import PublicKey, SigningKey
from images.release.verify import verify

OSV = "https://api.osv.dev"


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m images.release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    publish = commands.add_parser("publish", help="build, audit, push, sign and tag the images")
    rebuild = commands.add_parser(
        "rebuild", help="build a release again with newer packages of Debian, and move its tags"
    )
    publish.add_argument("--cached", action="store_true", help="build with Docker's cache")
    audit = commands.add_parser("audit", help="look for known vulnerabilities in the images")
    checking = commands.add_parser("verify", help="check what a registry has of a release")
    checking.add_argument("--key", type=Path, default=DIST / PUBLIC_KEY, help="the public key in PEM")
    for command in (publish, rebuild):
        command.add_argument("--page", type=Path, default=ROOT / PAGE, help="where to write what is in the images")
    for command in (publish, checking):
        command.add_argument("--version", required=True, help="the release, such as 1.2.0")
    for command in (publish, rebuild, checking):
        command.add_argument("--registry", required=True, help="a registry, or a namespace in one")
    for command in (publish, rebuild, audit, checking):
        command.add_argument("names", nargs="*", metavar="NAME", help="images; all of them if none is named")
    return parser.parse_args()


def publish_images(arguments: argparse.Namespace, family: Family) -> None:
    """Make a release.

    Raises:
        ToolError: the version is not this commit's, files differ from the commit, or a step failed.
    """
    if arguments.version != family.version:
        raise ToolError(f"this is prefect-uv {family.version} (entrypoint/pyproject.toml), not {arguments.version}")
    _publish(arguments, family, cached=arguments.cached, rebuilt=False)


def rebuild_images(arguments: argparse.Namespace, family: Family) -> None:
    """Build this commit's release again, and move the tags that may move."""
    _publish(arguments, family, cached=False, rebuilt=True)


def _publish(arguments: argparse.Namespace, family: Family, *, cached: bool, rebuilt: bool) -> None:
    release = Release(family, _repository(arguments, family))
    if release.commit.endswith("-dirty"):
        raise ToolError("files differ from the commit: a release is made of a commit")
    release.build(arguments.names or list(family.images), platforms(), cached=cached)
    _audit(release)
    release.push(signing_key(), source_repository(), rebuilt=rebuilt)
    release.write_page(arguments.page)


def audit_images(arguments: argparse.Namespace, family: Family) -> None:
    """Build the images and look for known vulnerabilities."""
    release = Release(family, family.repository)
    release.build(arguments.names or list(family.images), cached=True)
    _audit(release)


def verify_images(arguments: argparse.Namespace, family: Family) -> None:
    """Check a release in a registry, and print what was verified.

    Raises:
        ToolError: there is no such release, or something of it is not signed by the key.
    """
    repository = Repository(_repository(arguments, family))
    tags = {name: f"{arguments.version}-{name}" for name in arguments.names or family.images}
    if not arguments.names:
        tags = {name: tag for name, tag in tags.items() if repository.find(tag)}
        say(f"not in this release: {', '.join(name for name in family.images if name not in tags) or 'nothing'}")
    if not tags:
        raise ToolError(f"{repository.name} has no image of {arguments.version}")
    for image in verify(repository, list(tags.values()), PublicKey.read(arguments.key)):
        print(f"{image.tag} {image.digest}: signed, {image.packages} packages, built from {image.commit}")


def platforms() -> list[str]:
    """The platforms to build for, from IMAGE_PLATFORMS; this machine's own if it is not set."""
    return [foreign(name) for name in os.environ.get("IMAGE_PLATFORMS", "").split()] or [""]


def source_repository() -> str:
    """The address of the git repository, as the provenance names it: GitHub's in a workflow, or else this folder's."""
    server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{repository}" if server and repository else ROOT.as_uri()


def signing_key() -> SigningKey:
    """The key in the file SIGNING_KEY, or a throw-away key."""
    if path := os.environ.get("SIGNING_KEY"):
        return SigningKey.read(Path(path))
    say("SIGNING_KEY is not set: signing with a throw-away key")
    return SigningKey.throw_away()


def _repository(arguments: argparse.Namespace, family: Family) -> str:
    if not arguments.registry:
        raise ToolError("no registry is named\nhint: make … REGISTRY=localhost:5000")
    return f"{arguments.registry}/{family.repository}"


def _audit(release: Release) -> None:
    service = os.environ.get("OSV_URL", OSV)
    if service:
        release.audit(service)
    else:
        say("OSV_URL is empty: not looking for known vulnerabilities")


def main() -> int:
    """Run one command; report a tool that fails without a traceback."""
    arguments = parse_arguments()
    commands = {
        "publish": publish_images,
        "rebuild": rebuild_images,
        "audit": audit_images,
        "verify": verify_images,
    }
    try:
        commands[arguments.command](arguments, read())
    except ToolError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
