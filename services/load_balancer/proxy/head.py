"""The head of a message: its grammar, what must be refused, and what of it goes on. Pure.

A head is taken apart by three passes of a regular expression over the whole of it, not line by
line: one proves that it is in the grammar (RFC 9112 §2–5), one collects the fields that matter to
an intermediary, and one leaves them out. What is left goes on as the bytes it came in.

Most heads are those that the same connection brought before, with another request id at most. So
the outcome is immutable, ready to be sent, and able to recognise its own repetition.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from load_balancer.proxy import wire
from load_balancer.proxy.wire import Refused, shown

END = b"\r\n\r\n"

MAX_METHOD_BYTES = 64  # IANA's longest has 17
# RFC 9110 §9.2.1, §9.2.2; TRACE is refused.
IDEMPOTENT_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})

# RFC 9110 §5.6.2, §5.5: a name is a token, a value visible characters, blanks and obs-text.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE = rb"[\t -~\x80-\xff]*"
_REQUEST_LINE = re.compile(rb"(%b) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([0-9]{3})(?: %b)?\r\n" % _VALUE)
# No blank before the colon, no line that begins with one (obs-fold): RFC 9112 §5.1, §5.2.
_FIELDS = re.compile(rb"(?:%b:%b\r\n)*+" % (_TOKEN, _VALUE))
FIELD_LINE = re.compile(rb"(%b):%b\r\n" % (_TOKEN, _VALUE))
EMPTY_LINES = re.compile(rb"(?:\r\n)*")
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")

# Meant for the next hop only (RFC 9110 §7.6.1), with what HTTP/2 upgrades add, and
# Proxy-Connection, which predates it.
_HOP_BY_HOP = (
    rb"connection|http2-settings|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade"
)
# Not forwarded as they came: they frame or route the message, or we write them ourselves. Behind a
# gateway `_` and `-` may become one, so names with `_` are dropped from requests, as nginx does.
_REQUEST_SPECIAL = re.compile(
    rb"(?mi)^(%b|content-length|expect|host|max-forwards|x-forwarded-for|x-forwarded-host|"
    rb"x-forwarded-proto|x-replica|x-request-id|[^:_\n]*_[^:\n]*):(.*)\r\n" % _HOP_BY_HOP
)
_RESPONSE_SPECIAL = re.compile(
    rb"(?mi)^(%b|content-length|x-replica|x-request-id):(.*)\r\n" % _HOP_BY_HOP
)
_ID_FIELD = re.compile(rb"(?i)\nx-request-id:[ \t]*([0-9]+)")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_AUTHORITY_END = re.compile(rb"[/?#]")
_LINES = re.compile(rb"[^\n]*\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a message's head, and of the trailers and chunk extensions of its body."""

    head_bytes: int = 32 * 1024  # nginx: 4 × 8 KiB
    fields: int = 100  # Apache's and Envoy's limit
    target_bytes: int = 8 * 1024  # RFC 9112 §3 asks for 8000 at least

    def head_too_large(self) -> Refused:
        limits = f"{self.head_bytes} bytes and {self.fields} fields"
        return Refused(431, f"head, trailers and chunk extensions must be at most {limits}")

    def target_too_long(self) -> Refused:
        return Refused(414, f"target must be at most {self.target_bytes} bytes")


@dataclass(slots=True)  # frozen, it would take 10 µs to make
class RequestHead:
    """What a request's head says, and the head that goes to a replica but for the request id:
    `forwarded`, the id, END."""

    method: bytes
    target: bytes
    is_http10: bool
    close: bool  # the client's connection, when this is answered
    length: int | None  # bytes of body, None if that is not known, or there is none
    is_chunked: bool
    expects_continue: bool
    wants_websocket: bool
    max_forwards: int | None
    request_id: bytes  # empty if the client gave none
    forwarded: bytes
    path: bytes
    is_plain: bool  # its answer needs nothing but what all need: HTTP/1.1, a body, no close
    # The bytes that it came in, before and behind its request id.
    _before: bytes
    _behind: bytes
    _num_before: int
    _end: int  # where the id ends, counted from behind

    @property
    def has_body(self) -> bool:
        return self.is_chunked or bool(self.length)

    def repeated(self, data: bytes) -> bytes | None:
        """The request id in `data`, if `data` is this head once more with a decimal id; empty if
        this head has none. None if `data` is anything else."""
        if not self._behind:
            return b"" if data == self._before else None
        if data.startswith(self._before) and data.endswith(self._behind):
            request_id = data[self._num_before : self._end]
            if request_id.isdigit() and len(request_id) <= 18:
                return request_id
        return None


@dataclass(slots=True)
class ResponseHead:
    """What an answer's head says; `lines` of it go on."""

    status: int
    is_http10: bool
    close: bool  # the replica's connection, when this is over
    length: int | None
    is_chunked: bool
    is_websocket: bool
    lines: bytes


def parse_request(data: bytes, *, limits: Limits, client: bytes, authority: bytes) -> RequestHead:
    """The head of a request, of which `data` is the whole. Raises Refused.

    `client` is the address that it came from, `authority` stands for a Host that HTTP/1.0 left out.
    """
    start = _REQUEST_LINE.match(data)
    if start is None:
        raise malformed_start(data)
    method, target, version = start.groups()
    _check_start(method, target, version, limits)
    fields = _checked_fields(data, start.end(), limits)
    special: dict[bytes, bytes] = {}
    for name, value in _REQUEST_SPECIAL.findall(fields):
        _collect(special, name, value)
    is_http10 = version == b"1.0"  # else 1.1, or what may be read as such: RFC 9110 §2.5
    options = _options(special)
    host = _host(special, is_http10=is_http10, authority=authority)
    if not target.startswith(b"/") and b"://" in target:
        host, target = authority_and_path(target)
        if not target:  # RFC 9112 §3.2.4
            target = b"*" if method == b"OPTIONS" else b"/"
    if not target.startswith(b"/") and not (target == b"*" and method == b"OPTIONS"):
        raise Refused(400, f"target must be a path, got {shown(target)}")  # RFC 9112 §3.2
    length, is_chunked = _framing(special)
    if is_chunked and (length is not None or is_http10):
        # RFC 9112 §6.1: the classic request smuggling.
        raise Refused(400, "Transfer-Encoding excludes Content-Length and HTTP/1.0")
    wants_websocket = not (is_http10 or is_chunked or length) and _is_websocket(special, options)
    for name in options & {b"max-forwards", b"x-forwarded-for", b"x-request-id"}:
        special.pop(name, None)  # RFC 9110 §7.6.1: meant for us alone, so nothing of it goes on
    request_id = special.get(b"x-request-id", b"")
    forwarded_for = special.get(b"x-forwarded-for")
    max_forwards = _max_forwards(special) if method == b"OPTIONS" else None
    forwarded = b"".join(
        (
            b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, target, host),
            _without_named(_REQUEST_SPECIAL.sub(b"", fields), options),
            wire.framing(length, chunked=is_chunked),
            b"Connection: upgrade\r\nUpgrade: websocket\r\n" if wants_websocket else b"",
            _hops_left(special, method, max_forwards),
            b"X-Forwarded-For: %b\r\n"
            % (b"%b, %b" % (forwarded_for, client) if forwarded_for else client),
            b"X-Forwarded-Host: %b\r\nX-Forwarded-Proto: http\r\n" % host,
            wire.VIA,
            b"X-Request-ID: ",
        )
    )
    close = b"close" in options or (is_http10 and b"keep-alive" not in options)
    before, behind = _around(data, request_id)
    return RequestHead(
        method=method,
        target=target,
        path=target.partition(b"?")[0],
        is_http10=is_http10,
        close=close,
        is_plain=not (is_http10 or close or method == b"HEAD"),
        length=length,
        is_chunked=is_chunked,
        # HTTP/1.0 knows no interim answers, and other expectations nobody knows: RFC 9110 §10.1.1.
        expects_continue=not is_http10 and special.get(b"expect", b"").lower() == b"100-continue",
        wants_websocket=wants_websocket,
        max_forwards=max_forwards,
        request_id=request_id,
        forwarded=forwarded,
        _before=before,
        _behind=behind,
        _num_before=len(before),
        _end=-len(behind),
    )


def parse_response(data: bytes, limits: Limits) -> ResponseHead:
    """The head of an answer, of which `data` is the whole. Raises Refused."""
    start = _STATUS_LINE.match(data)
    if start is None:
        raise Refused(502, f"an answer begins with HTTP/1.1 and a status, got {shown(data)}")
    fields = _checked_fields(data, start.end(), limits)
    special: dict[bytes, bytes] = {}
    for name, value in _RESPONSE_SPECIAL.findall(fields):
        _collect(special, name, value)
    status, is_http10 = int(start[2]), start[1] == b"0"
    if status < 100:
        raise Refused(502, f"a status has three digits from 100, got {status}")
    options = _options(special)
    length, is_chunked = _framing(special)
    if is_chunked and length is not None:
        raise Refused(502, "Transfer-Encoding excludes Content-Length")  # RFC 9112 §6.3
    return ResponseHead(
        status=status,
        is_http10=is_http10,
        # Chunks in HTTP/1.0 are a mistake, of which the connection is better rid: RFC 9112 §6.1.
        close=b"close" in options or (is_http10 and (is_chunked or b"keep-alive" not in options)),
        length=length,
        is_chunked=is_chunked,
        is_websocket=_is_websocket(special, options),
        lines=_without_named(_RESPONSE_SPECIAL.sub(b"", fields), options),
    )


def check_beginning(data: bytes, limits: Limits) -> None:
    """Raises Refused if `data`, a head without its end, can no longer become a request."""
    if len(data) > limits.head_bytes and b"\n" in data[: limits.target_bytes + 64]:
        raise limits.head_too_large()
    if b"\n" in data:
        if (start := _REQUEST_LINE.match(data)) is None:
            raise malformed_start(data)
        _check_start(start[1], start[2], start[3], limits)
    elif len(data) > limits.target_bytes + 64:
        raise limits.target_too_long()
    if _BARE_LINE_END.search(data):
        raise Refused(400, "malformed request: a line of its head does not end in CR LF")


def check_answer_beginning(data: bytes, limits: Limits) -> None:
    """Raises Refused if `data`, a head without its end, can no longer become an answer's: nobody
    shall wait for the end of what has none."""
    if len(data) > limits.head_bytes or not b"HTTP/1.".startswith(data[:7]):
        raise Refused(502, "an answer without end, or none")
    if b"\n" in data:
        start = _STATUS_LINE.match(data)
        fields = None if start is None else _FIELDS.match(data, start.end())
        if fields is None or b"\n" in data[fields.end() :]:
            raise Refused(502, f"no head of an answer: {shown(data)}")
    if _BARE_LINE_END.search(data):
        raise Refused(502, "a line of an answer's head does not end in CR LF")


def malformed_start(data: bytes) -> Refused:
    line = data.partition(b"\n")[0].rstrip(b"\r")
    return Refused(400, f"malformed request: it begins with {shown(line)}")


def authority_and_path(target: bytes) -> tuple[bytes, bytes]:
    """An absolute-form target in its two parts, of which the second may be empty: RFC 9112 §3.2.2.
    Refused if the first is none."""
    scheme, _, hierarchy = target.partition(b"://")
    authority = _AUTHORITY_END.split(hierarchy, maxsplit=1)[0]
    if (
        scheme.lower() not in (b"http", b"https")
        or authority[:1] in (b"", b":")
        or not _is_host(authority)
    ):
        raise Refused(400, f"target must name one host, got {shown(target)}")  # RFC 9110 §4.2
    path = hierarchy[len(authority) :]
    return authority, b"/" + path if path.startswith((b"?", b"#")) else path


def _check_start(method: bytes, target: bytes, version: bytes, limits: Limits) -> None:
    if len(target) > limits.target_bytes:
        raise limits.target_too_long()
    if len(method) > MAX_METHOD_BYTES:
        raise Refused(501, f"method must be at most {MAX_METHOD_BYTES} bytes, got {shown(method)}")
    if method == b"PRI":
        raise Refused(400, "malformed request: HTTP/2 is not spoken here")  # RFC 9113 §3.4
    if not version.startswith(b"1."):
        raise Refused(505, f"HTTP version must be 1.0 or 1.1, got {version.decode()}")
    if method in (b"CONNECT", b"TRACE"):
        raise Refused(405, f"method {method.decode()} is not served here")


def _checked_fields(data: bytes, start: int, limits: Limits) -> bytes:
    """The field lines of a whole head, proved to be in the grammar and within the limits."""
    if len(data) > limits.head_bytes or data.count(b"\n", start) > limits.fields + 1:
        raise limits.head_too_large()
    fields = _FIELDS.match(data, start)
    assert fields is not None  # it matches nothing, too
    if fields.end() != len(data) - 2:
        line = data[fields.end() :].partition(b"\r\n")[0]
        raise Refused(400, f"malformed request: {shown(line)} is no field")
    return fields[0]


def _collect(special: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """Equal names become one value, joined by commas (RFC 9110 §5.3), which then fails every check
    that wants one value."""
    name, value = name.lower(), value.strip(b" \t")
    special[name] = b"%b, %b" % (special[name], value) if name in special else value


def _options(special: dict[bytes, bytes]) -> frozenset[bytes]:
    """What Connection names, in lower case."""
    connection = special.get(b"connection", b"").lower()
    return frozenset(option.strip(b" \t") for option in connection.split(b","))


def _framing(special: dict[bytes, bytes]) -> tuple[int | None, bool]:
    """Bytes of body if they are told, and whether it is chunked. Refused if either is malformed:
    RFC 9112 §6.1, §6.3."""
    length, coding = special.get(b"content-length"), special.get(b"transfer-encoding")
    if length is not None and (not length.isdigit() or len(length) > 18):
        raise Refused(400, f"Content-Length must be one decimal number, got {shown(length)}")
    if coding is not None and coding.lower() != b"chunked":
        # Its end is unknown unless chunked is the last, and chunked may be there but once; a coding
        # we do not know is 501.
        *others, last = (each.strip(b" \t") for each in coding.lower().split(b","))
        status = 501 if last == b"chunked" and b"chunked" not in others else 400
        raise Refused(status, f"Transfer-Encoding must be chunked, got {shown(coding)}")
    return None if length is None else int(length), coding is not None


def _host(special: dict[bytes, bytes], *, is_http10: bool, authority: bytes) -> bytes:
    """Host's value: there once, and well-formed (RFC 9112 §3.2)."""
    value = special.get(b"host")
    if value is None:
        if not is_http10:
            raise Refused(400, "Host must be given")
        return authority  # the replica, asked in HTTP/1.1, needs one: RFC 9112 §3.3
    if not _is_host(value):
        raise Refused(400, f"Host must be one name or address, got {shown(value)}")
    return value


def _is_host(value: bytes) -> bool:
    """RFC 3986 §3.2.2, with a port at most; an address in brackets is one of IPv6."""
    if not _HOST.fullmatch(value):
        return False
    if value.startswith(b"["):
        try:
            ipaddress.IPv6Address(value[1 : value.index(b"]")].decode())
        except ValueError:
            return False
    return True


def _is_websocket(special: dict[bytes, bytes], options: frozenset[bytes]) -> bool:
    """The one protocol that may take over a connection; h2c would pass by all checks."""
    return b"upgrade" in options and special.get(b"upgrade", b"").lower() == b"websocket"


def _max_forwards(special: dict[bytes, bytes]) -> int | None:
    """RFC 9110 §7.6.2; what is no number is ignored."""
    value = special.get(b"max-forwards", b"")
    return int(value) if value.isdigit() and len(value) <= 9 else None


def _hops_left(special: dict[bytes, bytes], method: bytes, max_forwards: int | None) -> bytes:
    """The line that goes on: of OPTIONS one less, of other methods as it came, for there it means
    nothing (RFC 9110 §7.6.2)."""
    if max_forwards is not None:
        return b"Max-Forwards: %d\r\n" % max(0, max_forwards - 1)
    value = special.get(b"max-forwards")
    return b"" if value is None or method == b"OPTIONS" else b"Max-Forwards: %b\r\n" % value


def _without_named(lines: bytes, options: frozenset[bytes]) -> bytes:
    """`lines` less those that Connection names (RFC 9110 §7.6.1)."""
    if options <= {b"", b"close", b"keep-alive", b"upgrade"}:
        return lines
    return b"".join(
        line for line in _LINES.findall(lines) if line.partition(b":")[0].lower() not in options
    )


def _around(data: bytes, request_id: bytes) -> tuple[bytes, bytes]:
    """`data` before and behind the request id; all of it and nothing if there is none, or one that
    cannot vary."""
    if request_id.isdigit():
        field = _ID_FIELD.search(data)
        if field is not None and field[1] == request_id:
            return data[: field.start(1)], data[field.end(1) :]
    return data, b""
