import msgspec
import pytest

from kubewake.errors import StoreError
from kubewake.snapshot import decode_state


class Form(msgspec.Struct):
    version: int
    names: list[str]


class OtherForm(msgspec.Struct):
    version: int
    numbers: list[int]


def test_state_comes_back():
    form = Form(3, ["a"])
    assert decode_state(msgspec.msgpack.encode(form), Form, "saved names", version=3) == form
    assert decode_state(msgspec.msgpack.encode({"a": 1}), dict[str, int], "saved numbers") == {"a": 1}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read"),
        (b"\xc1", "cannot be read"),
        (msgspec.msgpack.encode(Form(3, ["a"]))[:-1], "cannot be read"),
        (msgspec.msgpack.encode(OtherForm(3, [1])), "cannot be read .*names"),
        (
            msgspec.msgpack.encode({"version": 3, "names": ["x"]}).replace(b"\xa1x", b"\xa1\xff"),
            "cannot be read .*utf-8",
        ),
        (b"\x91" * 100_000, "cannot be read"),
        (msgspec.msgpack.encode(Form(2, ["a"])), "has version 2, this kubewake reads 3"),
        (msgspec.msgpack.encode(OtherForm(4, [1])), "has version 4, this kubewake reads 3"),
        (msgspec.msgpack.encode({"names": ["a"]}), "has version 0, this kubewake reads 3"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_do(data, words):
    with pytest.raises(StoreError, match=f"^saved names {words}.*; delete the state to start afresh$"):
        decode_state(data, Form, "saved names", version=3)
