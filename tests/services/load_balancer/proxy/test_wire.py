"""What the data plane writes of its own."""

import json

import pytest
from load_balancer.proxy import wire


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
