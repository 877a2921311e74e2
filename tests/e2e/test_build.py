"""kubewake installs with and without a C compiler."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools/bin/uv"
PARTS = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "NOTICE")

pytestmark = [
    pytest.mark.skipif(not UV.exists(), reason="uv is not in .tools, where make puts it"),
    pytest.mark.slow,
]


def build(folder, **environment):
    """The wheel that is built from a copy of the tree, and what the build left in its folder for temporary files."""
    tree, temporary = folder / "tree", folder / "tmp"
    temporary.mkdir(parents=True)
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for part in PARTS:
        shutil.copy(ROOT / part, tree)
    subprocess.run(
        [UV, "build", "--quiet", "--wheel", "--out-dir", folder / "out", tree],
        env={**os.environ, "TMPDIR": str(temporary), **environment},
        check=True,
        capture_output=True,
        timeout=280,
    )
    (wheel,) = (folder / "out").glob("*.whl")
    return wheel, [path.name for path in temporary.glob("kubewake-build-*")]


def extensions(wheel):
    return [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


@pytest.mark.parametrize("environment", [{"CC": "/nonexistent/cc"}, {"CC": "false"}, {"KUBEWAKE_PURE": "1"}])
def test_without_a_compiler_the_wheel_is_for_any_machine(tmp_path, environment):
    wheel, left = build(tmp_path, **environment)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not extensions(wheel)
    assert "kubewake/rules/builtin.pack" in zipfile.ZipFile(wheel).namelist()
    assert not left


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
def test_with_a_compiler_the_wheel_holds_the_extensions(tmp_path):
    wheel, left = build(tmp_path)
    assert sorted(name.partition(".")[0] for name in extensions(wheel)) == [
        "kubewake/engine/keyset",
        "kubewake/engine/tally",
        "kubewake/pipeline/parcel",
        "kubewake/sources/linebreaks",
    ]
    assert "none-any" not in wheel.name
    assert not left
