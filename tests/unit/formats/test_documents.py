import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewake.formats.documents import Documents, is_document, recut

RECORDS = st.fixed_dictionaries(
    {"id": st.integers(0, 9)},
    optional={
        "text": st.sampled_from(['"', "\\", '\\"', "}{][", "a\nb", 'items":[', "é"]),
        "items": st.just("text"),
        "inner": st.sampled_from([{"items": [{"a": [1, {}]}]}, [[]], {}]),
    },
)
INDENTS = st.sampled_from([None, 1, 4])


def _one(records, indent, glue):
    return glue.join(json.dumps(record, indent=indent) for record in records) + glue


def _array(records, indent, glue):
    return json.dumps(records, indent=indent) + glue


def _event_list(records, indent, glue):
    return json.dumps({"kind": "EventList", "items": records, "metadata": {"x": [1]}}, indent=indent) + glue


def _cloud(records, indent, glue):
    return json.dumps({"records": records}, indent=indent) + glue


PARTS = st.tuples(
    st.sampled_from([_one, _array, _event_list, _cloud]),
    st.lists(RECORDS, max_size=3),
    INDENTS,
    st.sampled_from(["\n", "\r\n", "", " ", ",\n"]),
)


def recut_stream(data, step, **options):
    stream = Documents("log", **options)
    pieces = []
    for start in range(0, len(data), step):
        pieces += stream.feed(data[start : start + step])
    pieces += stream.finish()
    found = []
    for piece in pieces:
        for offset, line in enumerate(piece.data.split(b"\n")):
            if line:
                content = json.loads(line)
                found += [
                    (piece.first_line + offset, item) for item in (content if isinstance(content, list) else [content])
                ]
    return found, stream.malformed


@given(st.lists(PARTS, max_size=4), st.sampled_from([1, 2, 7, 64, 10_000]))
def test_any_mix_of_documents_cut_anywhere_gives_its_records_in_order_at_their_lines(parts, step):
    text = "".join(build(records, indent, glue) for build, records, indent, glue in parts)
    found, malformed = recut_stream(text.encode(), step)
    assert not malformed
    assert [record for _, record in found] == [record for _, records, _, _ in parts for record in records]
    lines = text.split("\n")
    assert all("{" in lines[line - 1] for line, _ in found)
    assert found == recut_stream(text.encode(), len(text) + 1)[0]


def test_a_document_that_breaks_off_inside_a_text_costs_only_itself():
    found, malformed = recut_stream(b'{"a":1,\n "b":"cut\n{"id":2}\n{"id":3}\n', 5)
    assert found == [(3, {"id": 2}), (4, {"id": 3})]
    assert [item.line for item in malformed] == [1]


def test_a_document_that_never_ends_gives_back_those_behind_it():
    found, malformed = recut_stream(b'{\n "a": {\n "b": 1\n{\n "id": 2\n}\n', 1000)
    assert found == [(4, {"id": 2})]
    assert [item.line for item in malformed] == [1]


def test_a_record_past_the_limit_is_named_and_stepped_over_in_bounded_memory():
    stream = Documents("log", limit_bytes=1000)
    pieces = list(stream.feed(b'{"a":"'))
    largest = 0
    for block in [b"x" * 900, b"\\", b'"' + b"y" * 2000, b"\\\\", b'","b":{"c":"}"}}\n', b'{"id":1}\n']:
        pieces += stream.feed(block)
        largest = max(largest, len(stream._buffer))
    pieces += stream.finish()
    assert [json.loads(piece.data) for piece in pieces] == [{"id": 1}]
    assert len(stream.malformed) == 1
    assert "longer than 1000 bytes" in stream.malformed[0].reason
    assert largest < 3200


def test_items_of_a_huge_array_on_one_line_pass_through():
    stream = Documents("log", limit_bytes=1000)
    count = sum(
        len(json.loads(piece.data)) if piece.data[:1] == b"[" else 1
        for block in [b'{"kind":"EventList","items":[', *[b'{"id":1},'] * 500, b'{"id":2}]}']
        for piece in stream.feed(block)
    )
    list(stream.finish())
    assert count == 501
    assert not stream.malformed


def test_numbers_in_an_array_are_named_once():
    found, malformed = recut_stream(b'[1, 2.5, null, {"id":1},\ntrue]', 3)
    assert found == [(1, {"id": 1})]
    assert len(malformed) == 1
    assert "4 items that are no objects" in malformed[0].reason


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b'{"a":1}\n{"a":2}\n', False),
        (b"text\n{\n", False),
        (b"", False),
        (b'{"a":1', True),
        (b"{\n", True),
        (b"[\n{\n", True),
        (b'[{"a":1}]\n', False),
        (b'[{"a":1},\n{"a":2}]\n', True),
        (b'\xef\xbb\xbf\n  {\n "a": 1', True),
        (b'{"a":"cut off by rota\n{"a":2}\n', False),
        (b'node-1 {"a":1}\n', False),
    ],
)
def test_is_document(head, expected):
    assert is_document(head) is expected


def test_recut_gives_single_records_and_what_is_broken():
    records, malformed = recut(b'[{"a":1},{"b":2},{"c":', "log", 7)
    assert records == [b'{"a":1}', b'{"b":2}']
    assert [item.line for item in malformed] == [7]


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\\n a1', max_size=40).map(str.encode), st.integers(1, 9))
def test_any_bytes_end(data, step):
    stream = Documents("log", limit_bytes=30)
    for start in range(0, len(data), step):
        list(stream.feed(data[start : start + step]))
    list(stream.finish())
