"""Which of a project's dependencies are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from prefect_uv.package_names import DEV, normalized
from prefect_uv.settings import Settings


@dataclass(frozen=True)
class Selection:
    """Groups, extras and workspace member by their normalized names, as uv's options name them.

    Attributes:
        groups: dependency groups beside the project's own dependencies.
        only_groups: dependency groups instead of the project's own dependencies.
        extras: extras of the project.
        package: the workspace member; the project that was found when empty.
    """

    groups: tuple[str, ...] = ()
    only_groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    package: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Selection:
        """What the settings ask for, each name once."""
        chosen = (settings.groups, settings.only_groups, settings.extras)
        groups, only_groups, extras = (tuple(dict.fromkeys(map(normalized, names))) for names in chosen)
        return cls(groups, only_groups, extras, normalized(settings.package))

    @property
    def options(self) -> tuple[str, ...]:
        """For `uv export` and `uv sync`; the group `dev` is for developers, unless it is named (uv 0.13.8)."""
        named = (("--group", self.groups), ("--only-group", self.only_groups), ("--extra", self.extras))
        options = [word for option, names in named for name in sorted(names) for word in (option, name)]
        options += ["--package", self.package] if self.package else []
        return (*options, *(() if DEV in (*self.groups, *self.only_groups) else ("--no-dev",)))

    @property
    def variables(self) -> dict[str, str]:
        """The job variables that ask for it."""
        return {f"PREFECT_UV_{word.upper().replace(' ', '_')}": ",".join(names) for word, names in self._named()}

    def with_group(self, name: str) -> Selection:
        """One group more, of the kind that is selected."""
        if self.only_groups:
            return replace(self, only_groups=(*self.only_groups, name))
        return replace(self, groups=(*self.groups, name))

    def __str__(self) -> str:
        """For people, as `groups etl, ml`; empty when nothing was selected."""
        return ", ".join(f"{word} {', '.join(names)}" for word, names in self._named())

    def _named(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        package = (self.package,) if self.package else ()
        words = {"package": package, "groups": self.groups, "only groups": self.only_groups, "extras": self.extras}
        return ((word, names) for word, names in words.items() if names)
