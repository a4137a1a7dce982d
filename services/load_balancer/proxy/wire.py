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
_AUTHORITY_END = re.compile(rb"[/?]")
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Refused(Exception):
    """The message must not be forwarded; the connection closes after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Fields:
    """Collects the fields of one message head, sorted as they come: `lines` go on as they are,
    `special` are dealt with one by one. Equal names among these become one value, joined by commas
    (RFC 9110 §5.3), which then fails every check that wants one value.
    """

    __slots__ = ("_is_request", "lines", "special")

    def __init__(self, *, is_request: bool) -> None:
        self._is_request = is_request
        self.begin()

    def begin(self) -> None:
        """The next message; what was collected for the last one stays with whoever has it."""
        self.lines: list[bytes] = []
        self.special: dict[bytes, bytes] = {}

    def add(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered in _SPECIAL:
            value = value.rstrip(b" \t")  # RFC 9112 §5.1; llhttp strips what is before it only
            if lowered in self.special:
                value = b"%b, %b" % (self.special[lowered], value)
            self.special[lowered] = value
        elif not (self._is_request and b"_" in name):
            # Behind a gateway `_` and `-` may become one; nginx drops such names, too.
            self.lines.append(b"%b: %b\r\n" % (name, value))

    def seal(self) -> Head:
        """The head is over; what comes now are trailers, and goes nowhere (RFC 9110 §6.5.1).
        Refused 431 if it was too large."""
        head = Head(self.lines, self.special)
        self.begin()
        return head


class Head:
    """The fields of a whole message head, less those that its Connection field names."""

    __slots__ = ("lines", "special")

    def __init__(self, lines: list[bytes], special: dict[bytes, bytes]) -> None:
        if len(lines) > MAX_FIELDS or sum(map(len, lines)) > MAX_HEAD_BYTES:
            raise head_too_large()
        options = special.get(b"connection", b"close").lower()
        if options not in (b"close", b"keep-alive"):
            named = {option.strip() for option in options.split(b",")}
            lines = [line for line in lines if line.partition(b":")[0].lower() not in named]
        self.lines = lines
        self.special = special

    def content_length(self) -> int | None:
        """Bytes of body, None without. Refused if malformed or not one: RFC 9112 §6.3."""
        value = self.special.get(b"content-length")
        if value is None:
            return None
        if not value.isdigit() or len(value) > 18:
            raise Refused(400, f"Content-Length must be one decimal number, got {_shown(value)}")
        return int(value)

    def is_chunked(self) -> bool:
        """Whether the body is chunked. Refused if its coding is another one: RFC 9112 §6.1."""
        coding = self.special.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            raise Refused(501, f"Transfer-Encoding must be chunked, got {_shown(coding)}")
        return coding is not None

    def host(self, version: str) -> bytes | None:
        """Host's value. Refused unless it is there once and well-formed: RFC 9112 §3.2."""
        value = self.special.get(b"host")
        if value is None:
            if version != "1.0":
                raise Refused(400, "Host must be given")
        elif not _HOST.fullmatch(value):
            raise Refused(400, f"Host must be one name or address, got {_shown(value)}")
        return value


def check_start(method: bytes, target: bytes, version: str) -> None:
    """Raises Refused unless an intermediary may forward a request that begins so."""
    if version not in ("1.0", "1.1"):
        raise Refused(505, f"HTTP version must be 1.0 or 1.1, got {version}")
    if method in (b"CONNECT", b"TRACE"):
        raise Refused(405, f"method {method.decode()} is not served here")
    if not target.startswith(b"/") and not (target == b"*" and method == b"OPTIONS"):
        raise Refused(400, f"target must be a path, got {_shown(target)}")  # RFC 9112 §3.2


def authority_and_path(target: bytes) -> tuple[bytes, bytes]:
    """An absolute-form target in its two parts: RFC 9112 §3.2.2. Refused if the first is none."""
    hierarchy = target.partition(b"://")[2]
    authority = _AUTHORITY_END.split(hierarchy, maxsplit=1)[0]
    if authority[:1] in (b"", b":") or not _HOST.fullmatch(authority):
        raise Refused(400, f"target must name one host, got {_shown(target)}")  # RFC 9110 §4.2
    path = hierarchy[len(authority) :]
    return authority, path if path.startswith(b"/") else b"/" + path


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


def head_too_large() -> Refused:
    limits = f"{MAX_HEAD_BYTES} bytes and {MAX_FIELDS} fields"
    return Refused(431, f"head, trailers and chunk extensions must be at most {limits}")


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))
