"""Which messages may be forwarded, and how: the rules that a parser cannot know."""

import json

import pytest
from load_balancer.proxy import wire


def head(*fields: tuple[bytes, bytes], is_request: bool = True) -> wire.Head:
    collected = wire.Fields(is_request=is_request)
    for name, value in fields:
        collected.add(name, value)
    return collected.seal()


# Fields


def test_ordinary_fields_pass_as_they_came() -> None:
    """Names keep their case, equal names their order, values their bytes (RFC 9110 §5.3)."""
    sealed = head((b"Set-Cookie", b"a=1"), (b"X-Text", b"\xff"), (b"set-cookie", b"b=2"))
    expected = [b"Set-Cookie: a=1\r\n", b"X-Text: \xff\r\n", b"set-cookie: b=2\r\n"]
    assert sealed.lines == expected


@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"KEEP-ALIVE",
        b"Proxy-Connection",
        b"TE",
        b"Transfer-Encoding",
        b"Upgrade",
        b"HTTP2-Settings",
    ],
)
def test_hop_by_hop_fields_stay_here(name: bytes) -> None:
    """They are meant for us, in both directions (RFC 9110 §7.6.1)."""
    assert head((name, b"x")).lines == []
    assert head((name, b"x"), is_request=False).lines == []


def test_fields_that_connection_names_stay_here() -> None:
    """All its lines count, in any case; what it names is for this hop only."""
    sealed = head(
        (b"X-One", b"1"),
        (b"Connection", b"close, x-ONE"),
        (b"x-two", b"2"),
        (b"X-Three", b"3"),
        (b"connection", b" X-Two ,"),
    )
    assert sealed.lines == [b"X-Three: 3\r\n"]


def test_connection_cannot_name_what_frames_the_message() -> None:
    """A client cannot have the body's length or the host dropped (HTTP.md R35)."""
    sealed = head(
        (b"Connection", b"content-length, host"), (b"Content-Length", b"5"), (b"Host", b"lab")
    )
    assert (sealed.content_length(), sealed.host("1.1")) == (5, b"lab")


def test_names_with_underscores_are_dropped_from_requests() -> None:
    """Behind a gateway, Content_Length may become Content-Length; replicas may use such names."""
    assert head((b"Content_Length", b"5")).lines == []
    assert head((b"X_Id", b"5"), is_request=False).lines == [b"X_Id: 5\r\n"]


def test_values_are_freed_of_white_space() -> None:
    """What surrounds a value is no part of it (RFC 9112 §5.1), and the parser leaves it there."""
    sealed = head((b"Host", b"lab \t"), (b"Content-Length", b"5 "), (b"X-Request-ID", b"132574\t"))
    assert (sealed.host("1.1"), sealed.content_length()) == (b"lab", 5)
    assert sealed.special[b"x-request-id"] == b"132574"


def test_trailers_do_not_reach_the_next_head() -> None:
    """What comes behind a sealed head belongs to no head (RFC 9110 §6.5.1)."""
    fields = wire.Fields(is_request=True)
    fields.seal()
    fields.add(b"X-Trailer", b"1")
    fields.begin()
    fields.add(b"Host", b"lab")
    assert fields.seal().lines == []


def test_a_hundred_fields_are_enough() -> None:
    """One more is refused, 431."""
    fields = [(b"X-%d" % number, b"") for number in range(wire.MAX_FIELDS)]
    assert len(head(*fields).lines) == wire.MAX_FIELDS
    with pytest.raises(wire.Refused, match="100 fields") as refused:
        head(*fields, (b"X-More", b""))
    assert refused.value.status == 431


def test_the_size_of_a_head_is_bounded() -> None:
    """32 KiB pass, more is refused, 431."""
    line = b"X: \r\n"
    assert head((b"X", b"a" * (wire.MAX_HEAD_BYTES - len(line)))).lines
    with pytest.raises(wire.Refused, match="32768 bytes") as refused:
        head((b"X", b"a" * (wire.MAX_HEAD_BYTES - len(line) + 1)))
    assert refused.value.status == 431


# Framing


@pytest.mark.parametrize(
    ("value", "expected"), [(b"0", 0), (b"5", 5), (b"007", 7), (b"9" * 18, 10**18 - 1)]
)
def test_content_length_is_a_decimal_number(value: bytes, expected: int) -> None:
    """Digits, as many as a file system could ever need."""
    assert head((b"Content-Length", value)).content_length() == expected


@pytest.mark.parametrize(
    "value", [b"", b"+5", b"-5", b"0x5", b"5_0", b"1e0", b"5, 5", b"5 5", b"9" * 19, b"\xb2"]
)
def test_other_content_lengths_are_refused(value: bytes) -> None:
    """One parser's 5 must not be another's 50 (RFC 9112 §6.3); the value is named."""
    with pytest.raises(wire.Refused, match="one decimal number, got '") as refused:
        head((b"Content-Length", value)).content_length()
    assert refused.value.status == 400


def test_two_content_lengths_are_refused() -> None:
    """Even equal ones: two of them have passed through something that was wrong."""
    with pytest.raises(wire.Refused, match="got '5, 5'"):
        head((b"Content-Length", b"5"), (b"Content-Length", b"5")).content_length()


def test_chunked_is_the_only_coding() -> None:
    """In any case; none at all is not chunked; others are 501 (RFC 9112 §6.1)."""
    assert head((b"Transfer-Encoding", b"Chunked")).is_chunked()
    assert not head().is_chunked()
    for coding in (b"gzip, chunked", b"identity", b"xchunked", b""):
        with pytest.raises(wire.Refused, match="must be chunked") as refused:
            head((b"Transfer-Encoding", coding)).is_chunked()
        assert refused.value.status == 501


@pytest.mark.parametrize(
    ("length", "chunked", "expected"),
    [
        (None, False, b""),
        (0, False, b"Content-Length: 0\r\n"),
        (5, False, b"Content-Length: 5\r\n"),
        (None, True, b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_framing_is_one_field_at_most(length: int | None, chunked: bool, expected: bytes) -> None:
    """Never both, whatever came."""
    assert wire.framing(length, chunked=chunked) == expected


def test_a_chunk_has_its_size_in_hexadecimal() -> None:
    """Size, line end, data, line end (RFC 9112 §7.1)."""
    assert wire.chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        (b"GET", 200, True),
        (b"POST", 404, True),
        (b"HEAD", 200, False),
        (b"GET", 103, False),
        (b"GET", 204, False),
        (b"GET", 304, False),
    ],
)
def test_some_answers_have_no_body(method: bytes, status: int, expected: bool) -> None:
    """Whatever their fields say (RFC 9112 §6.3)."""
    assert wire.has_body(method, status) is expected


# Host and target


@pytest.mark.parametrize(
    "value", [b"lab", b"127.0.0.1:5050", b"[::1]:5050", b"[::1]", b"a_b.example", b"lab:", b""]
)
def test_hosts(value: bytes) -> None:
    """A name or an address, with a port or without (RFC 9110 §7.2)."""
    assert head((b"Host", value)).host("1.1") == value


@pytest.mark.parametrize(
    "value", [b"a b", b"a/b", b"a@b", b"a, b", b"::1", b"[::1", b"lab:80x", b"lab:1:2", b"a\\b"]
)
def test_malformed_hosts_are_refused(value: bytes) -> None:
    """400, and the value is named (RFC 9112 §3.2)."""
    with pytest.raises(wire.Refused, match="one name or address, got '") as refused:
        head((b"Host", value)).host("1.1")
    assert refused.value.status == 400


def test_only_http_1_0_may_do_without_host() -> None:
    """HTTP/1.1 must name it, once."""
    assert head().host("1.0") is None
    for fields in ([], [(b"Host", b"a"), (b"Host", b"a")]):
        with pytest.raises(wire.Refused, match="Host must be"):
            head(*fields).host("1.1")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://lab/home", (b"lab", b"/home")),
        (b"http://lab:5050/a?b=http://c", (b"lab:5050", b"/a?b=http://c")),
        (b"http://lab", (b"lab", b"/")),
        (b"http://lab?a=1", (b"lab", b"/?a=1")),
        (b"http://lab?a=/", (b"lab", b"/?a=/")),
        (b"HTTPS://[::1]:80//x", (b"[::1]:80", b"//x")),
    ],
)
def test_absolute_targets(target: bytes, expected: tuple[bytes, bytes]) -> None:
    """The authority stands for Host; path and query go on (RFC 9112 §3.2.2)."""
    assert wire.authority_and_path(target) == expected


@pytest.mark.parametrize("target", [b"http:///home", b"http://", b"http://:80/", b"http://a@b/"])
def test_absolute_targets_need_an_authority(target: bytes) -> None:
    """An empty one is no http URI, and user information is a trap (RFC 9110 §4.2)."""
    with pytest.raises(wire.Refused, match="target must name one host, got '") as refused:
        wire.authority_and_path(target)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("method", "target", "version", "status"),
    [
        (b"GET", b"/", "2.0", 505),
        (b"GET", b"/", "0.9", 505),
        (b"CONNECT", b"lab:443", "1.1", 405),
        (b"TRACE", b"/", "1.1", 405),
        (b"GET", b"*", "1.1", 400),
        (b"GET", b"home", "1.1", 400),
    ],
)
def test_starts_that_are_refused(method: bytes, target: bytes, version: str, status: int) -> None:
    """Other versions, tunnels, echoes, and targets that are no path."""
    with pytest.raises(wire.Refused) as refused:
        wire.check_start(method, target, version)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("method", "target", "version"),
    [(b"GET", b"/", "1.1"), (b"BREW", b"//x?y", "1.0"), (b"OPTIONS", b"*", "1.1")],
)
def test_starts_that_pass(method: bytes, target: bytes, version: str) -> None:
    """Any other method and path."""
    wire.check_start(method, target, version)


# Answers


@pytest.mark.parametrize(
    ("status", "expected"), [(200, b"HTTP/1.1 200 OK\r\n"), (299, b"HTTP/1.1 299 \r\n")]
)
def test_status_lines(status: int, expected: bytes) -> None:
    """The reason is the standard's, or empty; the space before it stays (RFC 9112 §4)."""
    assert wire.status_line(status) == expected


def test_errors_have_the_contracts_shape() -> None:
    """Framed, typed, and with the lines that were asked for."""
    answer = wire.error_response(503, "no replica is alive", method=b"GET", lines=b"X: y\r\n")
    start, _, body = answer.partition(b"\r\n\r\n")
    assert json.loads(body) == {"message": "<Error> no replica is alive", "status": "failure"}
    assert start.split(b"\r\n") == [
        b"HTTP/1.1 503 Service Unavailable",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"X: y",
    ]


def test_errors_for_head_have_no_body() -> None:
    """But the length that it would have."""
    with_body = wire.error_response(503, "gone", method=b"GET", lines=b"")
    without = wire.error_response(503, "gone", method=b"HEAD", lines=b"")
    assert with_body.startswith(without)
    assert without.endswith(b"\r\n\r\n")
