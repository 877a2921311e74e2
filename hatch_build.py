"""Build hook: compiles the built-in rule pack into the wheel, so that starting kubewake parses no YAML."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACK = "src/kubewake/rules/builtin.pack"


class RulePackHook(BuildHookInterface):  # type: ignore[type-arg, misc]  # hatchling is only there while building
    """Runs in the isolated build environment, which has what the compiler needs (see build-system.requires)."""

    PLUGIN_NAME = "rule-pack"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile and add the pack; an editable install reads the YAML files through the user's cache instead."""
        pack = Path(self.root) / PACK
        if version == "editable" or self.target_name != "wheel":
            pack.unlink(missing_ok=True)
            return
        source = str(Path(self.root) / "src")
        code = f"import sys; sys.path.insert(0, {source!r}); from kubewake.rules.pack import build_builtin_pack as build; build()"
        subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603  # our own code
        build_data["artifacts"].append(PACK)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave no compiled pack in the source tree."""
        del version, build_data, artifact_path
        (Path(self.root) / PACK).unlink(missing_ok=True)
