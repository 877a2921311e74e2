import inspect

import pytest

from kubewake.cli.serve import serve
from kubewake.errors import SettingsError
from kubewake.settings import TABLE, Settings, address, document, load, shown


def test_flags_beat_environment_beats_file_beats_defaults(tmp_path):
    file = tmp_path / "kubewake.toml"
    file.write_text('cluster = "file"\nlog_level = "debug"\nfollow = ["/a", "/b"]\nsnapshot-seconds = 3\n')
    environment = {
        "KUBEWAKE_CLUSTER": "environment",
        "KUBEWAKE_OUT_FSYNC": "yes",
        "KUBEWAKE_NOTIFY": "a://x b://y",
        "HOME": "/",
    }
    loaded = load(str(file), environment, {"cluster": "flag", "out": None})
    settings = loaded.settings
    assert (settings.cluster, settings.log_level, settings.follow) == ("flag", "debug", ["/a", "/b"])
    assert (settings.out_fsync, settings.notify, settings.snapshot_seconds) == (True, ["a://x", "b://y"], 3.0)
    assert loaded.origins["cluster"] == "flag"
    assert loaded.origins["log_level"] == f"{file}:2"
    assert loaded.origins["snapshot_seconds"] == f"{file}:4"
    assert loaded.origins["out_fsync"] == "environment KUBEWAKE_OUT_FSYNC"
    assert loaded.origins["listen"] == "default"


def test_yaml_and_the_file_named_by_the_environment(tmp_path):
    file = tmp_path / "kubewake.yaml"
    file.write_text("# ours\nfollow:\n  - /var/log/audit.log\n")
    assert load(None, {"KUBEWAKE_CONFIG": str(file)}).settings.follow == ["/var/log/audit.log"]
    file.write_text("")
    assert load(str(file), {}).settings.follow == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.toml",
            'cluster = "x"\nlissten = ""\n',
            r"a\.toml:2: unknown setting 'lissten' \(did you mean 'listen'\?\)",
        ),
        ("a.yaml", "\nzzz: 1\n", r"a\.yaml:2: unknown setting 'zzz'; `kubewake settings` lists"),
        ("a.toml", 'snapshot_seconds = "soon"\n', r"a\.toml:1: snapshot_seconds is 'soon', expected number in seconds"),
        ("a.toml", "body_max_bytes = 1\n", r"a\.toml:1: body_max_bytes is 1, expected integer in bytes: .*>= 1024"),
        ("a.toml", 'log_level = "loud"\n', "log_level is 'loud', expected debug"),
        ("a.toml", "broken\n", "not TOML"),
        ("a.yaml", "a: [\n", "not YAML"),
        ("a.yaml", "- a\n", "expected settings as `name: value`"),
        ("a.toml", 'tls_cert = "c.pem"\n', "tls_cert and tls_key go together"),
        ("a.toml", 'client_ca = "c.pem"\n', "needs TLS"),
        ("a.toml", 'listen = "nowhere"\n', "expected HOST:PORT"),
        ("a.toml", 'listen = "0.0.0.0:9443"\n', "without TLS"),
        ("a.toml", 'listen = ":1"\ntls_cert = "a"\ntls_key = "b"\n', "anyone who reaches it"),
    ],
)
def test_wrong_entries_are_named_with_their_place(tmp_path, name, content, words):
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(SettingsError, match=words):
        load(str(file), {})


def test_wrong_environment_and_missing_file_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"unknown setting 'KUBEWAKE_CLUSTR' \(did you mean 'KUBEWAKE_CLUSTER'\?\)"):
        load(None, {"KUBEWAKE_CLUSTR": "x"})
    with pytest.raises(SettingsError, match="environment KUBEWAKE_INSECURE: insecure is 'perhaps'"):
        load(None, {"KUBEWAKE_INSECURE": "perhaps"})
    with pytest.raises(SettingsError, match="check --config"):
        load(str(tmp_path / "none.toml"), {})


def test_listening_wide_open_needs_a_word():
    assert load(None, {}, {"listen": "0.0.0.0:9443", "insecure": True}).settings.insecure


def test_secrets_are_masked_in_errors_and_tables():
    row = next(row for row in TABLE if row.name == "notify")
    assert shown(row, ["slack://secret"]) == "********"
    with pytest.raises(SettingsError) as error:
        load(None, {}, {"notify": [{"token": "secret"}]})
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:1", ("127.0.0.1", 1)), (":9443", ("0.0.0.0", 9443)), ("[::1]:7", ("::1", 7))],
)
def test_addresses(text, expected):
    assert address(text) == expected


def test_every_setting_has_a_flag_a_doc_and_a_place_in_the_reference():
    flags = inspect.signature(serve).parameters
    text = document()
    for row in TABLE:
        assert row.name in flags
        assert row.doc.endswith(".")
        assert f"`{row.variable}`" in text
    assert set(flags) - {row.name for row in TABLE} == {"config"}
    assert len(TABLE) == len(Settings.__struct_fields__)
