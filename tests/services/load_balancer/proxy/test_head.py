"""Heads: what is in the grammar, what goes on, what is refused, and what is a head once more."""

from __future__ import annotations

import re

import pytest
from load_balancer.proxy.head import (
    END,
    Limits,
    RequestHead,
    ResponseHead,
    authority_and_path,
    check_beginning,
    parse_request,
    parse_response,
)
from load_balancer.proxy.wire import Refused

LIMITS = Limits()
HOP_BY_HOP = [
    b"Connection",
    b"KEEP-ALIVE",
    b"Proxy-Connection",
    b"TE",
    b"Trailer",
    b"Upgrade",
    b"HTTP2-Settings",
]


def request(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"lab") -> RequestHead:
    head = b"\r\n".join((start, *([b"Host: " + host] if host else []), *lines)) + END
    return parse_request(head, limits=LIMITS, client=b"198.51.100.7", authority=b"us:5050")


def response(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> ResponseHead:
    return parse_response(b"\r\n".join((start, *lines)) + END, LIMITS)


def passed_on(head: RequestHead) -> list[bytes]:
    """Its own fields among those that go to a replica."""
    lines = head.forwarded.split(b"\r\n")[1:-1]
    ours = (b"Host: ", b"X-Forwarded-", b"Via: 1.1 ringlab")
    return [line for line in lines if not line.startswith(ours)]


# Fields


def test_ordinary_fields_pass_as_they_came() -> None:
    """Names keep their case, equal names their order, values their bytes (RFC 9110 §5.3)."""
    lines = [b"Set-Cookie: a=1", b"X-Text:\xff \t", b"set-cookie: b=2", b"Via: 1.0 other"]
    assert passed_on(request(*lines)) == lines
    assert response(*lines).lines == b"\r\n".join(lines) + b"\r\n"


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_hop_by_hop_fields_stay_here(name: bytes) -> None:
    """They are meant for us, in both directions (RFC 9110 §7.6.1)."""
    assert passed_on(request(name + b": x")) == []
    assert response(name + b": x").lines == b""


def test_fields_that_connection_names_stay_here() -> None:
    """All its lines count, in any case; what it names is for this hop only."""
    lines = [
        b"X-One: 1",
        b"Connection: close, x-ONE",
        b"x-two: 2",
        b"X-Three: 3",
        b"connection: X-Two\t,",
    ]
    assert passed_on(request(*lines)) == [b"X-Three: 3"]
    assert response(*lines).lines == b"X-Three: 3\r\n"


def test_connection_cannot_name_what_frames_the_message() -> None:
    """A client cannot have the body's length or the host dropped."""
    head = request(b"Connection: content-length, host, x-forwarded-for", b"Content-Length: 5")
    assert head.length == 5
    assert head.forwarded.count(b"Host: lab\r\n") == 2  # X-Forwarded-Host is the other
    assert b"\r\nX-Forwarded-For: 198.51.100.7\r\n" in head.forwarded


def test_names_with_underscores_are_dropped_from_requests() -> None:
    """Behind a gateway, Content_Length may become Content-Length; replicas may use such names."""
    assert passed_on(request(b"Content_Length: 5", b"_: 1", b"X: a_b")) == [b"X: a_b"]
    assert response(b"X_Id: 5").lines == b"X_Id: 5\r\n"


def test_values_are_freed_of_white_space() -> None:
    """What surrounds a value is no part of it (RFC 9110 §5.5)."""
    head = request(b"Content-Length:\t5 ", b"X-Request-ID:  132574\t", host=b"lab \t")
    assert (head.length, head.request_id) == (5, b"132574")
    assert head.forwarded.startswith(b"GET / HTTP/1.1\r\nHost: lab\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"Name : x",
        b"Name\t: x",
        b" Name: x",
        b": x",
        b"Name",
        b"Na me: x",
        b"N\x00me: x",
        b"N(me: x",
        b"X: a\r\n folded",
        b"X: a\x00",
        b"X: a\rb",
        b"X: a\nb",
        b"X: a\x7f",
        b"X: a\x01",
    ],
)
def test_what_is_no_field_is_refused(line: bytes) -> None:
    """In requests and in answers (RFC 9112 §5; RFC 9110 §5.5)."""
    with pytest.raises(Refused, match="is no field") as refused:
        request(line)
    assert refused.value.status == 400
    with pytest.raises(Refused):
        response(line)


def test_a_hundred_fields_are_enough() -> None:
    """One more is refused, 431."""
    lines = [b"X-%d: " % number for number in range(LIMITS.fields - 1)]
    assert passed_on(request(*lines)) == lines
    with pytest.raises(Refused, match="100 fields") as refused:
        request(*lines, b"X-More: ")
    assert refused.value.status == 431


def test_the_size_of_a_head_is_bounded() -> None:
    """32 KiB pass, more is refused, 431."""
    rest = len(b"GET / HTTP/1.1\r\nHost: lab\r\nX: \r\n\r\n")
    assert request(b"X: " + b"a" * (LIMITS.head_bytes - rest))
    with pytest.raises(Refused, match="32768 bytes") as refused:
        request(b"X: " + b"a" * (LIMITS.head_bytes - rest + 1))
    assert refused.value.status == 431


# What we add


def test_who_asked_is_told() -> None:
    """To what the client said of those before it, its own address is added; what else it claims
    about itself is replaced."""
    forwarded = request(
        b"X-Forwarded-For: 203.0.113.1",
        b"x-forwarded-for: 203.0.113.2",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: elsewhere",
    ).forwarded
    assert b"\r\nX-Forwarded-For: 203.0.113.1, 203.0.113.2, 198.51.100.7\r\n" in forwarded
    assert forwarded.count(b"X-Forwarded-") == 3
    assert b"\r\nX-Forwarded-Host: lab\r\nX-Forwarded-Proto: http\r\n" in forwarded


def test_the_request_id_comes_last() -> None:
    """So that another one can take its place."""
    head = request(b"X-Request-ID: 7", b"X: y")
    assert head.request_id == b"7"
    assert head.forwarded.endswith(b"Via: 1.1 ringlab\r\nX-Request-ID: ")
    assert request(b"X: y").request_id == b""


@pytest.mark.parametrize(
    ("method", "value", "expected"),
    [
        (b"OPTIONS", b"7", b"Max-Forwards: 6\r\n"),
        (b"OPTIONS", b"x", b""),
        (b"GET", b"7", b"Max-Forwards: 7\r\n"),
    ],
)
def test_hops_are_counted(method: bytes, value: bytes, expected: bytes) -> None:
    """Of OPTIONS alone; elsewhere it goes on as it came (RFC 9110 §7.6.2)."""
    head = request(b"Max-Forwards: " + value, start=method + b" / HTTP/1.1")
    assert (b"Max-Forwards" in head.forwarded) is bool(expected)
    assert expected in head.forwarded


@pytest.mark.parametrize("name", [b"Max-Forwards", b"X-Forwarded-For", b"X-Request-ID"])
def test_what_connection_names_ends_here(name: bytes) -> None:
    """Also of the fields that we write ourselves (RFC 9110 §7.6.1)."""
    head = request(b"Connection: " + name, name + b": 7")
    assert b": 7" not in head.forwarded
    assert head.request_id == b""


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("options", [b"close, keep-alive", b"keep-alive, Close"])
def test_close_comes_before_keep_alive(version: bytes, options: bytes) -> None:
    """Whoever says both means close (RFC 9112 §9.3), client or replica."""
    line = b"Connection: " + options
    assert request(line, start=b"GET / HTTP/" + version).close
    assert response(line, start=b"HTTP/%b 200 OK" % version).close


def test_a_method_has_its_length() -> None:
    """Beyond 64 bytes it is none that anybody has implemented: 501 (RFC 9112 §3)."""
    assert request(start=b"M" * 64 + b" / HTTP/1.1").method == b"M" * 64
    with pytest.raises(Refused, match="method must be at most 64 bytes, got 'MMM") as refused:
        request(start=b"M" * 65 + b" / HTTP/1.1")
    assert refused.value.status == 501


# Framing


@pytest.mark.parametrize(
    ("value", "expected"), [(b"0", 0), (b"5", 5), (b"007", 7), (b"9" * 18, 10**18 - 1)]
)
def test_content_length_is_a_decimal_number(value: bytes, expected: int) -> None:
    """Digits, as many as a file system could ever need."""
    assert request(b"Content-Length: " + value).length == expected
    assert response(b"Content-Length: " + value).length == expected


@pytest.mark.parametrize(
    "value", [b"", b"+5", b"-5", b"0x5", b"5_0", b"1e0", b"5, 5", b"5 5", b"9" * 19, b"\xb2"]
)
def test_other_content_lengths_are_refused(value: bytes) -> None:
    """One parser's 5 must not be another's 50 (RFC 9112 §6.3); the value is named."""
    with pytest.raises(Refused, match="one decimal number, got '") as refused:
        request(b"Content-Length: " + value)
    assert refused.value.status == 400


def test_two_content_lengths_are_refused() -> None:
    """Even equal ones: two of them have passed through something that was wrong."""
    with pytest.raises(Refused, match="got '5, 5'"):
        request(b"Content-Length: 5", b"Content-Length: 5")


def test_chunked_is_the_only_coding() -> None:
    """In any case; one we do not know is 501, one that does not end in chunked has no known end:
    400 (RFC 9112 §6.1, §6.3)."""
    assert request(b"Transfer-Encoding: Chunked").is_chunked
    assert not request().is_chunked
    for coding, status in (
        (b"gzip, chunked", 501),
        (b"chunked, chunked", 400),
        (b"xchunked", 400),
        (b"identity", 400),
        (b"", 400),
    ):
        with pytest.raises(Refused, match="must be chunked") as refused:
            request(b"Transfer-Encoding: " + coding)
        assert refused.value.status == status


@pytest.mark.parametrize("start", [b"POST / HTTP/1.1", b"POST / HTTP/1.0"])
def test_two_framings_are_refused(start: bytes) -> None:
    """The classic request smuggling (RFC 9112 §6.1)."""
    extra = [] if start.endswith(b"1.0") else [b"Content-Length: 5"]
    with pytest.raises(Refused, match="excludes"):
        request(b"Transfer-Encoding: chunked", *extra, start=start)


@pytest.mark.parametrize(
    ("start", "option", "expected"),
    [
        (b"GET / HTTP/1.1", b"", False),
        (b"GET / HTTP/1.1", b"Close", True),
        (b"GET / HTTP/1.1", b"x, close", True),
        (b"GET / HTTP/1.0", b"", True),
        (b"GET / HTTP/1.0", b"Keep-Alive", False),
    ],
)
def test_who_closes(start: bytes, option: bytes, expected: bool) -> None:
    """RFC 9112 §9.3."""
    assert request(b"Connection: " + option, start=start).close is expected


# Host and target


@pytest.mark.parametrize(
    "value", [b"lab", b"127.0.0.1:5050", b"[::1]:5050", b"[::1]", b"a_b.example", b"lab:"]
)
def test_hosts(value: bytes) -> None:
    """A name or an address, with a port or without (RFC 9110 §7.2)."""
    assert b"\r\nHost: %b\r\n" % value in request(host=value).forwarded


@pytest.mark.parametrize(
    "value",
    [b"a b", b"a/b", b"a@b", b"a, b", b"::1", b"[::1", b"lab:80x", b"lab:1:2", b"a\\b", b"[a]"],
)
def test_malformed_hosts_are_refused(value: bytes) -> None:
    """400, and the value is named (RFC 9112 §3.2)."""
    with pytest.raises(Refused, match="one name or address, got '") as refused:
        request(host=value)
    assert refused.value.status == 400


def test_only_http_1_0_may_do_without_host() -> None:
    """HTTP/1.1 must name it, once."""
    head = request(start=b"GET / HTTP/1.0", host=b"")
    assert b"\r\nHost: us:5050\r\n" in head.forwarded
    for lines in ([], [b"Host: a", b"Host: a"]):
        with pytest.raises(Refused, match="Host must be"):
            request(*lines, host=b"")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://lab/home", (b"lab", b"/home")),
        (b"http://lab:5050/a?b=http://c", (b"lab:5050", b"/a?b=http://c")),
        (b"http://lab?a=1", (b"lab", b"/?a=1")),
        (b"http://lab?a=/", (b"lab", b"/?a=/")),
        (b"HTTPS://[::1]:80//x", (b"[::1]:80", b"//x")),
    ],
)
def test_absolute_targets(target: bytes, expected: tuple[bytes, bytes]) -> None:
    """The authority stands for Host; path and query go on (RFC 9112 §3.2.2)."""
    assert authority_and_path(target) == expected
    head = request(start=b"GET %b HTTP/1.1" % target, host=b"other")
    assert head.forwarded.startswith(b"GET %b HTTP/1.1\r\nHost: %b\r\n" % expected[::-1])


def test_absolute_targets_without_a_path() -> None:
    """The whole server is asked: / of all methods but OPTIONS, whose * it is (RFC 9112 §3.2.4)."""
    for method, path in ((b"GET", b"/"), (b"OPTIONS", b"*")):
        head = request(start=b"%b http://lab HTTP/1.1" % method)
        assert head.forwarded.startswith(b"%b %b HTTP/1.1\r\nHost: lab\r\n" % (method, path))


@pytest.mark.parametrize(
    "target", [b"http:///home", b"http://", b"http://:80/", b"http://a@b/", b"ftp://lab/"]
)
def test_absolute_targets_need_an_authority(target: bytes) -> None:
    """An empty one is no http URI, and user information is a trap (RFC 9110 §4.2)."""
    with pytest.raises(Refused, match="target must name one host, got '") as refused:
        authority_and_path(target)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET /", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET / http/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET /\xc3\xa4 HTTP/1.1", 400),
        (b"G(T / HTTP/1.1", 400),
        (b" GET / HTTP/1.1", 400),
        (b"CONNECT lab:443 HTTP/1.1", 405),
        (b"TRACE / HTTP/1.1", 405),
        (b"GET * HTTP/1.1", 400),
        (b"GET home HTTP/1.1", 400),
        (b"PRI * HTTP/2.0", 400),
    ],
)
def test_starts_that_are_refused(start: bytes, status: int) -> None:
    """Other versions, tunnels, echoes, and targets that are no path, as soon as that is known."""
    with pytest.raises(Refused) as refused:
        request(start=start)
    assert refused.value.status == status
    if b" /" in start or b"2.0" in start:  # else that takes the whole head
        with pytest.raises(Refused) as refused:
            check_beginning(start + b"\r\nHost: ", LIMITS)
        assert refused.value.status == status


@pytest.mark.parametrize(
    "start", [b"GET / HTTP/1.1", b"BREW //x?y HTTP/1.0", b"OPTIONS * HTTP/1.1", b"GET / HTTP/1.9"]
)
def test_starts_that_pass(start: bytes) -> None:
    """Any other method and path."""
    assert b" ".join(start.split()[:2]) in request(start=start).forwarded


@pytest.mark.parametrize(
    "start", [b"HTTP/2.0 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 099 X", b"200 OK"]
)
def test_answers_that_are_refused(start: bytes) -> None:
    """What does not begin as HTTP/1.1 does."""
    with pytest.raises(Refused):
        response(start=start)


@pytest.mark.parametrize(
    ("beginning", "status"),
    [(b"GET /%b" % (b"a" * 9000), 414), (b"G" * 9000, 414), (b"GET / HTTP/1.1\n", 400)],
)
def test_beginnings_without_hope(beginning: bytes, status: int) -> None:
    """Nobody has to wait for the end of what can be no request."""
    with pytest.raises(Refused) as refused:
        check_beginning(beginning, LIMITS)
    assert refused.value.status == status


@pytest.mark.parametrize(
    "beginning", [b"G", b"GET / HT", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\nHo"]
)
def test_beginnings_with_hope(beginning: bytes) -> None:
    """A request may come byte by byte."""
    check_beginning(beginning, LIMITS)


# WebSocket


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket"], True),
        ([b"Upgrade: websocket"], False),
        ([b"Connection: upgrade", b"Upgrade: h2c"], False),
        ([b"Connection: upgrade", b"Upgrade: websocket, h2c"], False),
        ([b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 5"], False),
    ],
)
def test_websocket_is_the_one_other_protocol(lines: list[bytes], expected: bool) -> None:
    """Wished for in full form, without a body (RFC 9110 §7.8, RFC 6455 §4.1)."""
    head = request(*lines)
    assert head.wants_websocket is expected
    assert (b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" in head.forwarded) is expected
    assert head.forwarded.count(b"pgrade") == 2 * expected


# The same head once more


def test_a_head_is_recognised() -> None:
    """With another decimal id, whose place may be anywhere."""
    for lines in ([b"X: y", b"x-request-id:\t17", b"Y: 17"], [b"X-Request-ID: 17"]):
        raw = b"\r\n".join((b"GET /17 HTTP/1.1", b"Host: lab", *lines)) + END
        head = parse_request(raw, limits=LIMITS, client=b"", authority=b"")
        assert head.repeated(raw) == b"17"
        at = raw.lower().index(b"id:") + 4
        assert head.repeated(raw[:at] + b"132574" + raw[at + 2 :]) == b"132574"


@pytest.mark.parametrize(
    "id_",
    [
        b"",
        b"x",
        b"-7",
        b"1 ",
        b" 1",
        b"1\r\nX: y",
        b"1\r\n\r\nGET / HTTP/1.1\r\nHost: a",
        b"1" * 19,
    ],
)
def test_other_heads_are_not_recognised(id_: bytes) -> None:
    """What is no decimal number could be anything, another request in one breath too."""
    raw = b"GET / HTTP/1.1\r\nHost: lab\r\nX-Request-ID: %b\r\n\r\n"
    head = parse_request(raw % b"17", limits=LIMITS, client=b"", authority=b"")
    assert head.repeated(raw % id_) is None
    assert head.repeated(raw % b"17" + b"G") is None
    assert head.repeated((raw % b"17")[:-1]) is None
    assert head.repeated((raw % b"17").replace(b"GET /", b"PUT /")) is None


def test_a_head_without_an_id_is_recognised_byte_for_byte() -> None:
    """Then there is no place for one."""
    raw = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"
    head = parse_request(raw, limits=LIMITS, client=b"", authority=b"")
    assert head.repeated(raw) == b""
    assert head.repeated(raw + raw) is None
    assert head.repeated(raw.replace(b"lab", b"lob")) is None


def test_an_id_costs_no_pattern() -> None:
    """Heads that differ in their ids alone are read with the same regular expressions: one made for
    each would cost ten times what reading the head does."""
    made = len(re._cache)  # type: ignore[attr-defined]
    for number in range(100):
        request(b"X-Request-ID: %d" % number)
    assert len(re._cache) <= made  # type: ignore[attr-defined]
