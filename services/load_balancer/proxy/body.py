"""The body of a message: where it ends, and its bytes without their framing. Pure.

Each reader is fed what comes and returns what of it is payload. When `is_complete`, `rest` holds
what came behind the end.
"""

from __future__ import annotations

import re
from typing import Protocol

from load_balancer.proxy.head import FIELD_LINE, Limits
from load_balancer.proxy.wire import Refused, shown

# RFC 9112 §7.1: digits and nothing else, few enough for 60 bits; then extensions, which have no
# meaning to us. A blank or a bare line end among them is the stuff of request smuggling.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (_TOKEN, _TOKEN, _QUOTED)
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})((?:%b)*+)\r\n" % _EXTENSION)
_SIZE_BEGINNING = re.compile(rb"[0-9A-Fa-f]{1,15}(?:[ \t;].*)?\r?", re.DOTALL)
_FRAMING_FIELDS = frozenset({b"content-length", b"transfer-encoding"})
_LINE_END = b"\r\n"


class BodyReader(Protocol):
    is_complete: bool
    rest: bytes

    def read(self, data: bytes) -> bytes: ...


class Sized:
    """A body of `length` bytes."""

    __slots__ = ("_left", "is_complete", "rest")

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_complete = length == 0
        self.rest = b""

    def read(self, data: bytes) -> bytes:
        if len(data) < self._left:
            self._left -= len(data)
            return data
        self.is_complete = True
        self.rest = data[self._left :]
        return data[: self._left] if self.rest else data


class UntilClose:
    """An answer's body that ends with its connection."""

    is_complete = False
    rest = b""

    def read(self, data: bytes) -> bytes:
        return data


class Chunked:
    """RFC 9112 §7.1. Raises Refused where it breaks its framing, or has more extensions and
    trailers than a head may have."""

    __slots__ = (
        "_at_end_of_chunk",
        "_in_trailers",
        "_left",
        "_limits",
        "_line",
        "_overhead",
        "is_complete",
        "rest",
    )

    def __init__(self, limits: Limits) -> None:
        self.is_complete = False
        self.rest = b""
        self._limits = limits
        self._left = 0  # of the chunk
        self._at_end_of_chunk = False
        self._in_trailers = False
        self._line = b""  # not whole yet
        self._overhead = 0  # bytes of extensions and trailers so far

    def read(self, data: bytes) -> bytes:
        if self._line:
            data, self._line = self._line + data, b""
        payload: list[bytes] = []
        at = 0
        while at < len(data) and not self.is_complete:
            if self._left:
                piece = data[at : at + self._left]
                payload.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._at_end_of_chunk = self._left == 0
                continue
            end = data.find(b"\n", at) + 1
            if self._at_end_of_chunk:
                if not _LINE_END.startswith(data[at : at + 2]):
                    raise Refused(400, "malformed request: a chunk is longer than its size")
                end = at + 2 if len(data) >= at + 2 else 0
            if not end:
                self._line = data[at:]
                is_size = not (self._at_end_of_chunk or self._in_trailers)
                if is_size and not _SIZE_BEGINNING.fullmatch(self._line):
                    raise _no_size(self._line)
                if self._overhead + len(self._line) > self._limits.head_bytes:
                    raise self._limits.head_too_large()
                break
            self._read_line(data[at:end])
            at = end
        if self.is_complete:
            self.rest = data[at:]
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _read_line(self, line: bytes) -> None:
        if self._at_end_of_chunk:
            self._at_end_of_chunk = False
        elif not self._in_trailers:
            size = _SIZE_LINE.fullmatch(line)
            if size is None:
                raise _no_size(line)
            self._left = int(size[1], 16)
            self._in_trailers = self._left == 0
            self._count(len(size[2]))
        elif line == _LINE_END:
            self.is_complete = True
        else:
            # They go nowhere (RFC 9110 §6.5.1), and must be sound all the same.
            field = FIELD_LINE.fullmatch(line)
            if field is None or field[1].lower() in _FRAMING_FIELDS:
                raise Refused(400, f"malformed request: {shown(line)} is no trailer")
            self._count(len(line))

    def _count(self, num_bytes: int) -> None:
        self._overhead += num_bytes
        if self._overhead > self._limits.head_bytes:
            raise self._limits.head_too_large()


def _no_size(line: bytes) -> Refused:
    return Refused(400, f"malformed request: {shown(line)} is no size of a chunk")
