"""HTTP/1.1 as bytes: what may be forwarded, what must be refused. Pure; no sockets, no clock.

httptools (llhttp, strict) has parsed the message by the time we see it and has refused what is not
in the grammar. Here is what a parser cannot know and an intermediary must (RFC 9110, RFC 9112).
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus

MAX_TARGET_BYTES = 8 * 1024  # RFC 9112 §3 asks for 8000 at least
MAX_HEAD_BYTES = 32 * 1024
MAX_FIELDS = 100  # Apache's and Envoy's limit

SAFE_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS"})  # RFC 9110 §9.2.1; TRACE is refused
VIA = b"Via: 1.1 ringlab\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
KEEP_ALIVE = b"Connection: keep-alive\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Meant for the next hop only: RFC 9110 §7.6.1, with what HTTP/2 upgrades add, and
# Proxy-Connection, which predates it.
_HOP_BY_HOP = {
    b"connection",
    b"http2-settings",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
}
# Not forwarded as they came: they frame or route the message, or we answer them ourselves.
_SPECIAL = _HOP_BY_HOP | {b"content-length", b"expect", b"host", b"x-replica", b"x-request-id"}

_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Refused(Exception):
    """The message must not be forwarded; the connection closes after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Fields:
    """The fields of one message head, sorted as they come: `lines` go on as they are, `special`
    (lower-case name, value) are dealt with one by one. Trailers, which come after `seal`, are not
    merged into the head (RFC 9110 §6.5.1).
    """

    __slots__ = ("_is_open", "_is_request", "_num_bytes", "lines", "special")

    def __init__(self, *, is_request: bool) -> None:
        self._is_request = is_request
        self.begin()

    def begin(self) -> None:
        """The next message; the lists of the last one stay with whoever has them."""
        self.lines: list[bytes] = []
        self.special: list[tuple[bytes, bytes]] = []
        self._num_bytes = 0
        self._is_open = True

    def seal(self) -> None:
        """The head is over. Drops what Connection names: RFC 9110 §7.6.1."""
        self._is_open = False
        for name, value in self.special:
            if name == b"connection":
                named = {option.strip().lower() for option in value.split(b",")}
                self.lines = [
                    line for line in self.lines if line.partition(b":")[0].lower() not in named
                ]

    def add(self, name: bytes, value: bytes) -> None:
        if not self._is_open:
            return
        self._num_bytes += len(name) + len(value)
        if self._num_bytes > MAX_HEAD_BYTES or len(self.lines) >= MAX_FIELDS:
            raise head_too_large()
        lowered = name.lower()
        if lowered in _SPECIAL:
            self.special.append((lowered, value))
        elif not (self._is_request and b"_" in name):
            # Behind a gateway `_` and `-` may become one; nginx drops such names, too.
            self.lines.append(b"%b: %b\r\n" % (name, value))

    def values(self, name: bytes) -> list[bytes]:
        """The values of a special field, in order."""
        return [value for each, value in self.special if each == name]

    def content_length(self) -> int | None:
        """Bytes of body, None without. Refused if malformed or not one: RFC 9112 §6.3."""
        values = self.values(b"content-length")
        if not values:
            return None
        if len(values) > 1 or not _LENGTH.fullmatch(values[0]):
            raise Refused(400, f"Content-Length must be one decimal number, got {_shown(values)}")
        return int(values[0])

    def is_chunked(self) -> bool:
        """Whether the body is chunked. Refused if its coding is another one: RFC 9112 §6.1."""
        codings = self.values(b"transfer-encoding")
        if not codings:
            return False
        if [coding.lower() for coding in codings] != [b"chunked"]:
            raise Refused(501, f"Transfer-Encoding must be chunked, got {_shown(codings)}")
        return True

    def host(self, version: str) -> bytes | None:
        """Host's value. Refused unless it is there once and well-formed: RFC 9112 §3.2."""
        values = self.values(b"host")
        if len(values) > 1 or (not values and version != "1.0"):
            raise Refused(400, f"Host must be given once, got {_shown(values)}")
        if values and not _HOST.fullmatch(values[0]):
            raise Refused(400, f"Host must be a name or an address, got {_shown(values)}")
        return values[0] if values else None


def check_start(method: bytes, target: bytes, version: str) -> None:
    """Raises Refused unless an intermediary may forward a request that begins so."""
    if version not in ("1.0", "1.1"):
        raise Refused(505, f"HTTP version must be 1.0 or 1.1, got {version}")
    if method in (b"CONNECT", b"TRACE"):
        raise Refused(405, f"method {method.decode()} is not served here")
    if not target.startswith(b"/") and not (target == b"*" and method == b"OPTIONS"):
        raise Refused(400, f"target must be a path, got {_shown([target[:80]])}")  # RFC 9112 §3.2


def authority_and_path(target: bytes) -> tuple[bytes, bytes]:
    """An absolute-form target in its two parts: RFC 9112 §3.2.2."""
    authority, slash, path = target.split(b"://", 1)[1].partition(b"/")
    if not slash:
        authority, mark, query = authority.partition(b"?")
        return authority, b"/" + mark + query
    return authority, slash + path


def status_line(status: int, reason: bytes) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d %b\r\n" % (status, reason)


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


def head_too_large() -> Refused:
    return Refused(431, f"the head must be at most {MAX_HEAD_BYTES} bytes and {MAX_FIELDS} fields")


def _shown(values: list[bytes]) -> str:
    return ", ".join(repr(value.decode("latin-1")) for value in values) or "none"
