"""What the data plane writes of its own: status lines, framing, errors. Pure bytes."""

from __future__ import annotations

import json
from http import HTTPStatus

VIA = b"Via: 1.1 ringlab\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
ALLOW = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
KEEP_ALIVE = b"Connection: keep-alive\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Refused(Exception):
    """The message must not be forwarded; the connection closes after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def status_line(status: int) -> bytes:
    """With the standard reason, or none: nobody may rely on it (RFC 9112 §4)."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def framing(length: int | None, *, chunked: bool) -> bytes:
    """The field that tells where the body ends; none if nothing is known of it."""
    if chunked:
        return CHUNKED
    return b"" if length is None else b"Content-Length: %d\r\n" % length


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def has_body(method: bytes, status: int) -> bool:
    """Whether a response may have a body, whatever its fields say: RFC 9112 §6.3."""
    return method != b"HEAD" and status >= 200 and status not in (204, 304)


def error_response(status: int, message: str, *, method: bytes, lines: bytes) -> bytes:
    """A whole answer of our own, in the contract's one shape for errors."""
    body = json.dumps({"message": f"<Error> {message}", "status": "failure"}).encode() + b"\n"
    return b"".join(
        (
            _STATUS_LINES[status],
            b"Content-Type: application/json\r\n",
            framing(len(body), chunked=False),
            lines,
            b"\r\n",
            b"" if method == b"HEAD" else body,
        )
    )


def shown(value: bytes) -> str:
    """`value` for an error message, its beginning if it is long."""
    return repr(value[:80].decode("latin-1"))
