"""A build hook that writes a module."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface):
    """Writes it."""

    def initialize(self, version, build_data):
        """Write the module before the build."""
        Path(self.root, "src/hatch_hook/made.py").write_text("PLACE = 'made'")
        build_data["artifacts"].append("src/hatch_hook/made.py")
