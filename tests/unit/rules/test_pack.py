import os
import subprocess
import sys

import msgspec
import pytest

from kubewake.errors import RuleError
from kubewake.rules import pack
from kubewake.rules.pack import cache_folder, compiler_version, load_files, load_rules, read_pack

RULE = """
title: Pods listed
logsource: {product: kubernetes, service: audit}
detection:
  selection: {verb: list, objectRef.resource: pods}
  condition: selection
"""
LIST = "name: friends\nvalues: [alice, bob]\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kubewake" / "rules"


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "rules"
    place.mkdir()
    (place / "pods-listed.yml").write_text(RULE)
    (place / "friends.yaml").write_text(LIST)
    return place


def test_loads_rules_and_lists_from_folders(folder):
    rules = load_rules([folder], builtin=False)
    assert list(rules.infos) == ["pods-listed"]
    assert rules.lists == {"friends": ("alice", "bob")}


def test_second_load_compiles_nothing(folder, monkeypatch):
    first = load_files([folder])

    def fail(*args, **more):
        raise AssertionError("compiled again")

    monkeypatch.setattr("kubewake.rules.parse.compile_text", fail)
    assert load_files([folder]) == first


def test_a_change_is_seen(folder):
    load_files([folder])
    (folder / "pods-listed.yml").write_text(RULE.replace("list", "watch"))
    (rule,) = load_files([folder])[1].rules
    assert "watch" in str(rule.tree)


def test_damaged_or_foreign_caches_are_ignored(folder, cache):
    load_files([folder])
    (file,) = cache.glob("*.pack")
    for content in (b"", b"\xff" * 40, msgspec.msgpack.encode({"compiler": compiler_version(), "files": {"x": 5}})):
        file.write_bytes(content)
        assert read_pack(file, compiler_version()) == {}
        assert len(load_files([folder])) == 2


def test_caches_that_others_can_write_are_ignored(folder, cache):
    load_files([folder])
    (file,) = cache.glob("*.pack")
    assert read_pack(file, compiler_version())
    file.chmod(0o666)
    assert read_pack(file, compiler_version()) == {}


def test_unwritable_cache_is_no_error(folder, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert str(cache_folder()).startswith(str(blocked))
    assert load_rules([folder], builtin=False).infos


LAUGHS = """a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
"""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.yml", "title: [", r"bad\.yml:\d+: not valid YAML"),
        ("bad.yml", "title: a\ntitle: b\n", r"bad\.yml:2: the key 'title' stands twice"),
        ("bad.yml", "- a\n", r"bad\.yml:1: a document must be a mapping"),
        ("bad.yml", "title: x\n", r"bad\.yml:1: neither a rule"),
        ("bad.yml", LAUGHS, r"bad\.yml:\d+: the document is too large"),
        ("list.yml", "name: x\nvalues: {a: b}\n", r"list\.yml:2: list 'x' needs 'values'"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(RuleError, match=message):
        load_rules([tmp_path / name], builtin=False)


def test_two_rules_cannot_have_one_id(folder):
    (folder / "more").mkdir()
    (folder / "more" / "pods-listed.yml").write_text(RULE)
    with pytest.raises(RuleError, match="rule id 'pods-listed' is taken by"):
        load_rules([folder], builtin=False)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(RuleError, match="there is no such rule file"):
        load_rules([tmp_path / "nothing"], builtin=False)


def test_built_pack_loads_without_a_parser(tmp_path):
    """What the wheel does: the compiled pack alone, neither pySigma nor YAML imported."""
    target = tmp_path / "builtin.pack"
    code = (
        "import sys; from pathlib import Path; from kubewake.rules import pack; "
        f"pack.BUILTIN_PACK = Path({str(target)!r}); pack.build_builtin_pack()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
    code = (
        "import sys; from pathlib import Path; from kubewake.rules import pack; "
        f"pack.BUILTIN_PACK = Path({str(target)!r}); rules = pack.load_rules(); "
        "print(len(rules.infos), any(name in sys.modules for name in ('sigma', 'yaml')))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert int(out[0]) >= 60
    assert out[1] == "False"
    assert pack.BUILTIN_LABEL in load_rules().infos["pod-exec"].file


def test_a_folder_without_rules_is_noticed(tmp_path):
    (tmp_path / "empty.yml").write_text("")
    assert any(f"{tmp_path} holds no rule" in notice for notice in load_rules([tmp_path]).notices)
