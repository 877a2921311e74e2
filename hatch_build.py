"""Build hook: compiles the built-in rule pack into the wheel, so that starting kubewake parses no YAML, and what is written
in Cython (`*.pyx`) where there is a C compiler. Without one kubewake finds the same and takes longer.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACK = "src/kubewake/rules/builtin.pack"
PURE = "KUBEWAKE_PURE"
"""Environment variable: with any value, nothing is compiled to machine code."""


class KubewakeHook(BuildHookInterface):  # type: ignore[type-arg, misc]  # hatchling is only there while building
    """Runs in the isolated build environment, which has what the compilers need (see build-system.requires)."""

    PLUGIN_NAME = "kubewake"
    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile and add; an editable install reads the rules' YAML through the user's cache, and has the extension in
        its tree.
        """
        root = Path(self.root)
        (root / PACK).unlink(missing_ok=True)
        if self.target_name != "wheel":
            return
        extensions = {} if os.environ.get(PURE) else self._compile(root / "src")
        if version == "editable":
            for stale in (root / "src").rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"):
                stale.unlink()
            for place, extension in extensions.items():
                shutil.copy2(extension, root / "src" / place)
            return
        for place, extension in extensions.items():
            build_data["force_include"][str(extension)] = place
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        source = str(root / "src")
        code = f"import sys; sys.path.insert(0, {source!r}); from kubewake.rules.pack import build_builtin_pack as build; build()"
        subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603  # our own code
        build_data["artifacts"].append(PACK)

    def _compile(self, source: Path) -> dict[str, Path]:
        """The extensions as files, each with its place below `source`; none, with the reason told, where that fails."""
        from Cython.Build import cythonize
        from setuptools import Distribution, Extension
        from setuptools.errors import BaseError, CompileError, LinkError

        folder = self._folder = Path(tempfile.mkdtemp(prefix="kubewake-build-"))
        try:
            modules = cythonize(
                [
                    Extension(
                        ".".join(file.relative_to(source).with_suffix("").parts),
                        [str(file)],
                        extra_compile_args=["-O3"],
                    )
                    for file in sorted(source.rglob("*.pyx"))
                ],
                build_dir=str(folder / "c"),
                include_path=[str(source)],
            )
            command = Distribution({"name": "kubewake", "ext_modules": modules}).get_command_obj("build_ext")
            command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "temp")
            command.ensure_finalized()
            command.run()
            names = [module.name for module in modules]
            built = {name: Path(command.get_ext_fullpath(name)) for name in names}
            return {"/".join((*name.split(".")[:-1], file.name)): file for name, file in built.items()}
        except (BaseError, CompileError, LinkError, OSError) as error:
            self.app.display_warning(f"nothing is compiled ({error}): kubewake will work and be slower")
            return {}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave no compiled pack in the source tree, and nothing of the compiler's."""
        del version, build_data, artifact_path
        (Path(self.root) / PACK).unlink(missing_ok=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
