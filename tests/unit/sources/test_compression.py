import bz2
import gzip
import lzma
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kubewake.sources.compression import BadStream, codec_of, inflate, unsupported

COMPRESS = {"gzip": gzip.compress, "zstd": zstandard.compress, "bzip2": bz2.compress, "xz": lzma.compress}


def blocks(data, size):
    return (data[start : start + size] for start in range(0, len(data), size))


@given(st.binary(max_size=200), st.lists(st.sampled_from(sorted(COMPRESS)), max_size=3), st.integers(1, 50))
def test_any_layers_cut_anywhere(data, layers, size):
    if codec_of(data) or unsupported(data) or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return
    packed = data
    for layer in reversed(layers):
        packed = COMPRESS[layer](packed)
    names = []
    assert b"".join(inflate(blocks(packed, size), names)) == data
    assert names == layers


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\x00", b"\xff\xfe"]),
)
def test_any_bytes_end_in_bytes_or_a_reason(data, magic):
    try:
        b"".join(inflate(blocks(magic + data, 7), []))
    except BadStream as error:
        assert str(error)


@pytest.mark.parametrize("name", sorted(COMPRESS))
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_what_is_truncated_is_said_so(name, kept):
    packed = COMPRESS[name](bytes(range(256)) * 50)
    with pytest.raises(BadStream, match=r"breaks off|damaged"):
        b"".join(inflate(blocks(packed[: int(len(packed) * kept)], 100), []))


def test_bytes_behind_the_end_are_said_so():
    with pytest.raises(BadStream, match="behind the end"):
        b"".join(inflate(iter([gzip.compress(b"a") + b"hello"]), []))


def test_nesting_is_bounded():
    data = b"x"
    for _ in range(5):
        data = gzip.compress(data)
    with pytest.raises(BadStream, match="3 times"):
        b"".join(inflate(iter([data]), []))


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_memory_stays_bounded_on_a_bomb(compress):
    packed = compress(b"\0" * 200_000_000)
    tracemalloc.start()
    total = sum(len(block) for block in inflate(iter([packed]), []))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 200_000_000
    assert peak < 80_000_000
