"""Which of a project's dependencies to install: groups, extras, and the member of a workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from prefect_uv.package_names import DEV, normalized
from prefect_uv.settings import Settings


@dataclass(frozen=True)
class Selection:
    """Normalized names, with the meaning of uv's options of the same names.

    Attributes:
        groups: dependency groups to install in addition to the project's own dependencies.
        only_groups: dependency groups to install instead of the project's own dependencies.
        extras: extras of the project.
        package: the workspace member; if empty, the project that was found.
    """

    groups: tuple[str, ...] = ()
    only_groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    package: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Selection:
        """The selection of the job variables, each name once."""
        variables = (settings.groups, settings.only_groups, settings.extras)
        groups, only_groups, extras = (tuple(dict.fromkeys(map(normalized, names))) for names in variables)
        return cls(groups, only_groups, extras, normalized(settings.package))

    @property
    def options(self) -> tuple[str, ...]:
        """Options of `uv export` and `uv sync`, with `--no-dev` unless the group `dev` is selected.

        uv 0.13.8 installs `dev` by default: https://docs.astral.sh/uv/concepts/projects/dependencies/#default-groups
        """
        lists = (("--group", self.groups), ("--only-group", self.only_groups), ("--extra", self.extras))
        options = [word for option, names in lists for name in sorted(names) for word in (option, name)]
        options += ["--package", self.package] if self.package else []
        return (*options, *(() if DEV in (*self.groups, *self.only_groups) else ("--no-dev",)))

    @property
    def variables(self) -> dict[str, str]:
        """The job variables that make this selection, with their values."""
        return {f"PREFECT_UV_{kind.upper().replace(' ', '_')}": ",".join(names) for kind, names in self._selected()}

    def with_group(self, name: str) -> Selection:
        """The selection with one more group: in `only_groups` if these are used, else in `groups`."""
        if self.only_groups:
            return replace(self, only_groups=(*self.only_groups, name))
        return replace(self, groups=(*self.groups, name))

    def __str__(self) -> str:
        """For the log, such as `groups etl, ml`; empty if nothing is selected."""
        return ", ".join(f"{kind} {', '.join(names)}" for kind, names in self._selected())

    def _selected(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        package = (self.package,) if self.package else ()
        kinds = {"package": package, "groups": self.groups, "only groups": self.only_groups, "extras": self.extras}
        return ((kind, names) for kind, names in kinds.items() if names)
