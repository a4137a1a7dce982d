"""Bodies: their bytes without their framing, and where they end."""

from __future__ import annotations

import pytest
from load_balancer.proxy.body import BodyReader, Chunked, Sized, UntilClose
from load_balancer.proxy.head import Limits
from load_balancer.proxy.wire import Refused

LIMITS = Limits()
CHUNKS = b'5;a=b\r\nhello\r\n6 ; c="d\\"e"\r\n world\r\n00\r\nX-Trailer: 1\r\n\r\n'


def read(reader: BodyReader, data: bytes, *, lump: int) -> bytes:
    """The payload of `data`, fed in lumps until it is complete; what is left goes to `rest`."""
    payload = b""
    for start in range(0, len(data), lump):
        payload += reader.read(data[start : start + lump])
        if reader.is_complete:
            reader.rest += data[start + lump :]
            break
    return payload


@pytest.mark.parametrize("lump", [1, 2, 3, 7, 1000])
def test_chunked(lump: int) -> None:
    """However it comes; extensions and trailers are left out, what is behind it stays apart."""
    reader = Chunked(LIMITS)
    assert read(reader, CHUNKS + b"GET /", lump=lump) == b"hello world"
    assert (reader.is_complete, reader.rest) == (True, b"GET /")


@pytest.mark.parametrize("lump", [1, 3, 1000])
def test_sized(lump: int) -> None:
    """So many bytes, and no more."""
    reader = Sized(5)
    assert read(reader, b"helloGET /", lump=lump) == b"hello"
    assert (reader.is_complete, reader.rest) == (True, b"GET /")


def test_bodies_that_are_not_whole() -> None:
    """Go on as they come, and say that there is more."""
    for reader in (Chunked(LIMITS), Sized(99), UntilClose()):
        data = b"5\r\nhel" if isinstance(reader, Chunked) else b"hel"
        assert (reader.read(data), reader.is_complete) == (b"hel", False)


def test_nothing_is_a_body() -> None:
    """Complete before anything comes."""
    assert Sized(0).is_complete


@pytest.mark.parametrize(
    "data",
    [
        b"0x5\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"\r\n",
        b"-5\r\n",
        b"+5\r\n",
        b"5\n",
        b"g",
        b"0" * 15 + b"5\r\n",
        b"5;\r\n",
        b"5;a\rb\r\n",
        b"5;a\n\r\n",
        b'5;a="\r\n',
        b"5;a=b c\r\n",
        b"5\r\nhelloX",
        b"5\r\nhello\rX",
        b"5\r\nhello\n0",
        b"0\r\nX : y\r\n",
        b"0\r\n X: y\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\ncontent-length: 5\r\n",
        b"0\r\nTransfer-Encoding: gzip\r\n",
    ],
)
@pytest.mark.parametrize("lump", [1, 1000])
def test_broken_framing_is_refused(data: bytes, lump: int) -> None:
    """At the byte that breaks it; what two readers could read in two ways is nobody's."""
    with pytest.raises(Refused) as refused:
        read(Chunked(LIMITS), data, lump=lump)
    assert refused.value.status == 400


@pytest.mark.parametrize("endless", [b"5;a", b"5;a=b" * 3, b"0\r\nX: "])
def test_overhead_is_bounded(endless: bytes) -> None:
    """What does not end is not kept."""
    reader = Chunked(LIMITS)
    reader.read(endless)
    with pytest.raises(Refused) as refused:
        read(reader, b"a" * (LIMITS.head_bytes + 1), lump=1000)
    assert refused.value.status == 431


def test_extensions_are_counted_together() -> None:
    """A body of small chunks may not carry more of them than a head could."""
    chunk = b"1;%b\r\na\r\n" % (b"x" * 999)
    reader = Chunked(LIMITS)
    with pytest.raises(Refused):
        read(reader, chunk * (LIMITS.head_bytes // 999 + 1), lump=1000)
