"""Facts about the packages of an environment, kept in it, so that any policy can be applied wherever it is moved to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prefect_uv.cache_volume.full_disk import write_file
from prefect_uv.environments.build.verification import distributions
from prefect_uv.environments.plan.origins import PackageOrigin

FACTS = "prefect-uv-packages.json"
FACTS_FORMAT = 1


@dataclass(frozen=True)
class PackageFacts:
    """What rules ask about a package.

    Attributes:
        version: the installed version.
        origins: where it may come from; empty if that is not known.
        built: it was built from source; None if that is not known.
        expression: its SPDX license expression; may be empty.
        licenses: other texts about its license: classifiers, or the field `License`.
    """

    version: str
    origins: tuple[PackageOrigin, ...] = ()
    built: bool | None = None
    expression: str = ""
    licenses: tuple[str, ...] = ()


def planned_facts(
    versions: Mapping[str, str], origins: Mapping[str, tuple[PackageOrigin, ...]]
) -> dict[str, PackageFacts]:
    """What is known about packages before they are installed."""
    return {
        name: PackageFacts(version, origins.get(name, ()), _must_be_built(origins.get(name, ())))
        for name, version in versions.items()
    }


def installed_facts(
    environment: Path, origins: Mapping[str, tuple[PackageOrigin, ...]], known: Mapping[str, PackageFacts]
) -> dict[str, PackageFacts]:
    """What is known about the packages of an environment.

    Args:
        environment: its directory.
        origins: where packages come from.
        known: facts from the environment that this one extends, which holds for packages without an origin.
    """
    return {
        name: known[name] if name in known and name not in origins else _of_distribution(path, origins.get(name, ()))
        for name, path in sorted(distributions(environment).items())
    }


def read_facts(environment: Path) -> dict[str, PackageFacts] | None:
    """The facts in an environment; None if there are none, or in another format."""
    try:
        value = json.loads((environment / FACTS).read_bytes())
        return {name: _from_json(item) for name, item in value["packages"].items()} if _is_current(value) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def write_facts(environment: Path, facts: Mapping[str, PackageFacts]) -> None:
    """Write the facts into an environment that is not published yet."""
    packages = {name: asdict(item) for name, item in facts.items()}
    write_file(environment / FACTS, json.dumps({"format": FACTS_FORMAT, "packages": packages}, indent=1))


def _is_current(value: Mapping[str, object]) -> bool:
    return value["format"] == FACTS_FORMAT


def _from_json(item: Mapping[str, Any]) -> PackageFacts:
    origins = (
        PackageOrigin(**{**one, "hosts": tuple(one["hosts"]), "wheels": tuple(one["wheels"])})
        for one in item["origins"]
    )
    return PackageFacts(**{**item, "origins": tuple(origins), "licenses": tuple(item["licenses"])})


def _of_distribution(path: Path, origins: tuple[PackageOrigin, ...]) -> PackageFacts:
    metadata = _metadata_fields(path)
    classifiers = [value for value in metadata.get("Classifier", ()) if value.startswith("License ::")]
    texts = [value.rpartition("::")[2].strip() for value in classifiers]
    field = " ".join(_first_value(metadata, "License").split())
    built = _must_be_built(origins)
    if built is False:
        built = not any(_fits(path, origin) for origin in origins)
    return PackageFacts(
        _first_value(metadata, "Version") or path.name.removesuffix(".dist-info").rpartition("-")[2],
        tuple(replace(origin, wheels=()) for origin in origins),
        built,
        _first_value(metadata, "License-Expression"),
        tuple(text for text in texts if text != "OSI Approved") or tuple(filter(None, [field])),
    )


def _metadata_fields(distribution: Path) -> dict[str, list[str]]:
    """The fields of METADATA, without the description below them, which is most of the file.

    https://packaging.python.org/en/latest/specifications/core-metadata/
    """
    fields: dict[str, list[str]] = {}
    values: list[str] = []
    for line in _lines_of(distribution / "METADATA").partition("\n\n")[0].splitlines():
        name, separator, value = line.partition(":")
        if values and line[:1] in {" ", "\t"}:
            values[-1] += line
        elif separator:
            values = fields.setdefault(name, [])
            values.append(value.strip())
    return fields


def _first_value(metadata: Mapping[str, list[str]], name: str) -> str:
    return next(iter(metadata.get(name, ())), "")


def _must_be_built(origins: tuple[PackageOrigin, ...]) -> bool | None:
    """Whether none of the origins has a wheel; None if there is no origin."""
    return not any(origin.wheels for origin in origins) if origins else None


def _fits(distribution: Path, origin: PackageOrigin) -> bool:
    """Whether an installed distribution says that it is one of the wheels; one that uv has built has other tags.

    https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-contents
    """
    tags = {
        line.partition(":")[2].strip() for line in _lines_of(distribution / "WHEEL").splitlines() if line[:4] == "Tag:"
    }
    return any(tag in tags for wheel in origin.wheels for tag in _tags(wheel))


def _tags(wheel: str) -> Iterator[str]:
    """The tags in the name of a wheel, one for each combination."""
    pythons, abis, platforms = wheel.removesuffix(".whl").split("-")[-3:]
    for python in pythons.split("."):
        for abi in abis.split("."):
            yield from (f"{python}-{abi}-{platform}" for platform in platforms.split("."))


def _lines_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
