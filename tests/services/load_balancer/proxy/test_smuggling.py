"""Request smuggling: what two parsers could read as one request or as two goes nowhere.

Each case is followed by a second request, and both wires are looked at: the client gets exactly one
answer, an error, and no replica ever sees the end of the first request, let alone the second. Where
a case is harmless instead, the replica gets it in a framing that leaves no doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Lab, Peer

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: lab\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.fixture(params=["whole", "byte by byte"])
def send(request: pytest.FixtureRequest) -> Callable[[Peer, bytes], None]:
    def to(peer: Peer, data: bytes) -> None:
        peer.send_byte_by_byte(data) if request.param == "byte by byte" else peer.send(data)

    return to


def post(fields: bytes, body: bytes = CHUNKS, version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST /home %b\r\nHost: lab\r\nX-Request-ID: 1\r\n%b\r\n%b" % (version, fields, body)


def coded(coding: bytes) -> bytes:
    return post(b"Transfer-Encoding: " + coding + b"\r\n")


def sized(size: bytes) -> bytes:
    return post(b"Content-Length: " + size + b"\r\n", b"hello")


def in_chunks(chunks: bytes) -> bytes:
    return post(CHUNKED, chunks)


REFUSED_HEADS = {
    "CL.TE": post(b"Content-Length: 5\r\n" + CHUNKED),
    "TE.CL": post(CHUNKED + b"Content-Length: 5\r\n"),
    "TE and CL 0": post(CHUNKED + b"Content-Length: 0\r\n"),
    "TE in HTTP/1.0": post(CHUNKED, version=b"HTTP/1.0"),
    "TE xchunked": coded(b"xchunked"),
    "TE chunked, identity": coded(b"chunked, identity"),
    "TE identity, chunked": coded(b"identity, chunked"),
    "TE gzip, chunked": coded(b"gzip, chunked"),
    "TE chunked, chunked": coded(b"chunked, chunked"),
    "TE identity": coded(b"identity"),
    "TE empty": coded(b""),
    "TE vertical tab": coded(b"\x0bchunked"),
    "TE form feed": coded(b"\x0cchunked"),
    "TE NUL": coded(b"chunked\x00"),
    "TE 0xff": coded(b"chunked\xff"),
    "TE quoted": coded(b'"chunked"'),
    "TE parameter": coded(b"chunked;q=1"),
    "TE folded": coded(b"\r\n chunked"),
    "TE twice": post(CHUNKED + b"Transfer-Encoding: identity\r\n"),
    "TE before and behind": post(b"Transfer-Encoding: identity\r\n" + CHUNKED),
    "space before colon": post(b"Transfer-Encoding : chunked\r\n"),
    "tab before colon": post(b"Content-Length\t: 5\r\n"),
    "line feed before colon": post(b"Transfer-Encoding\n: chunked\r\n"),
    "no colon": post(b"Transfer-Encoding\r\n"),
    "folded first field": b"POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: lab\r\n\r\n",
    "CL twice, differing": post(b"Content-Length: 5\r\nContent-Length: 50\r\n", b"hello"),
    "CL twice, equal": post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "CL list": sized(b"5, 5"),
    "CL plus": sized(b"+5"),
    "CL minus": sized(b"-5"),
    "CL hexadecimal": sized(b"0x5"),
    "CL underscore": sized(b"5_0"),
    "CL exponent": sized(b"1e0"),
    "CL other digits": sized(b"\xb2"),
    "CL beyond 64 bits": sized(b"18446744073709551621"),
    "CL empty": sized(b""),
    "CL two numbers": sized(b"5 5"),
    "bare line feed in head": post(b"X: y\nContent-Length: 5\r\n", b"hello"),
    "bare carriage return in head": post(b"X: y\rContent-Length: 5\r\n", b"hello"),
    "NUL in a value": post(b"X: y\x00\r\n", b""),
    "Host twice": post(b"Host: other\r\n", b""),
    "bare line feeds": b"POST / HTTP/1.1\nHost: lab\nContent-Length: 5\n\nhello",
}

REFUSED_CHUNKS = {
    "size 0x5": in_chunks(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "blank before size": in_chunks(b" 5\r\nhello\r\n0\r\n\r\n"),
    "blank behind size": in_chunks(b"5 \r\nhello\r\n0\r\n\r\n"),
    "size of 17 digits": in_chunks(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "no size": in_chunks(b"\r\nhello\r\n0\r\n\r\n"),
    "negative size": in_chunks(b"-5\r\nhello\r\n0\r\n\r\n"),
    "size without carriage return": in_chunks(b"5\nhello\r\n0\r\n\r\n"),
    "spill": in_chunks(b"5\r\nhello!\r\n0\r\n\r\n"),
    "wrong end of data": in_chunks(b"5\r\nhelloXX0\r\n\r\n"),
    "end of data without carriage return": in_chunks(b"5\r\nhello\n0\r\n\r\n"),
    "line feed in extension": in_chunks(b"5;a\n\r\nhello\r\n0\r\n\r\n"),
    "carriage return in extension": in_chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "unfinished quote in extension": in_chunks(b'5;a="\r\nhello\r\n0\r\n\r\n'),
    "line feed in the last line": in_chunks(b"5\r\nhello\r\n0\n\r\n"),
    "framing in a trailer": in_chunks(b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"),
    "coding in a trailer": in_chunks(b"5\r\nhello\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n"),
}


@pytest.mark.parametrize("case", REFUSED_HEADS)
def test_doubtful_heads_reach_no_replica(
    lab: Lab, send: Callable[[Peer, bytes], None], case: str
) -> None:
    """4xx or 501 and `close`; behind us, not even a connection is made."""
    client = lab.client()
    send(client, REFUSED_HEADS[case] + SMUGGLED)
    assert len(client.statuses) == 1
    assert client.statuses[0] in (400, 501)
    assert b"Connection: close\r\n" in client.received
    assert client.saw_eof
    assert not lab.connections


@pytest.mark.parametrize("case", REFUSED_CHUNKS)
def test_doubtful_chunks_are_never_completed(
    lab: Lab, send: Callable[[Peer, bytes], None], case: str
) -> None:
    """What the replica has of the body has no end, and its connection is cut."""
    client = lab.client()
    send(client, REFUSED_CHUNKS[case] + SMUGGLED)
    assert client.statuses == [400]
    assert client.saw_eof
    for replica in lab.connections[lab.order(b"1")[0]]:  # none, if all came at once
        assert replica.was_cut or not replica.received
        assert b"0\r\n\r\n" not in replica.received
        assert b"smuggled" not in replica.received


HARMLESS = {
    "leading zeros in a chunk's size": in_chunks(b"000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk extension": in_chunks(b'5;a="b\\"c"\r\nhello\r\n0;d\r\n\r\n'),
    "routing field in a trailer": in_chunks(b"5\r\nhello\r\n0\r\nHost: other\r\n\r\n"),
    "request in a body": post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
    "CL named by Connection": post(
        b"Connection: content-length\r\nContent-Length: 5\r\n", b"hello"
    ),
    "TE named by Connection": post(b"Connection: transfer-encoding\r\n" + CHUNKED),
    "underscore for hyphen": post(b"Content_Length: 50\r\nTransfer_Encoding: chunked\r\n", b""),
    "escaped line end in the target": post(b"", b"").replace(b"/home", b"/%0d%0aHost:%20x"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless_requests_are_framed_once(
    lab: Lab, send: Callable[[Peer, bytes], None], case: str
) -> None:
    """One framing field at most, ours, that says what the body is; the next request is the next."""
    client = lab.client()
    send(client, HARMLESS[case] + SMUGGLED.replace(b"Host", b"X-Request-ID: 1\r\nHost"))
    (replica,) = lab.connections[lab.order(b"1")[0]]
    start, _, body = replica.take().partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in start.split(b"\r\n")[1:]]
    framing = [name for name in names if name in (b"Content-Length", b"Transfer-Encoding")]
    assert names.count(b"Host") == 1
    assert {name.lower() for name in names} <= {
        b"host",
        b"x-request-id",
        b"content-length",
        b"transfer-encoding",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    }
    if framing == [b"Content-Length"]:
        assert b"\r\nContent-Length: %d\r\n" % len(body) in start
    elif framing:
        assert body.endswith(b"0\r\n\r\n")
        assert b"Host" not in body
    else:
        assert (framing, body) == ([], b"")
    replica.send(OK)
    assert replica.received.startswith(b"GET /smuggled HTTP/1.1\r\n")
    replica.send(OK)
    assert client.statuses == [200, 200]


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS"])
def test_bodies_where_none_is_expected(lab: Lab, method: bytes) -> None:
    """0.CL: a server that takes no notice of a body reads a request in it; so it goes on framed."""
    client = lab.client()
    client.send(
        post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED).replace(b"POST", method, 1)
    )
    replica = lab.upstream(lab.order(b"1")[0])
    assert replica.received.count(b"Content-Length: %d\r\n" % len(SMUGGLED)) == 1
    assert replica.received.endswith(b"\r\n\r\n" + SMUGGLED)
    replica.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.statuses == [204]
    assert len(lab.connections[lab.order(b"1")[0]]) == 1


def test_a_replica_that_did_not_read_the_body(lab: Lab) -> None:
    """CL.0: an answer before the body is whole ends the connection, or the rest would be read as
    the next client's request."""
    client, victim = lab.client(), lab.client()
    client.send(post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED[:-2]))
    early = lab.upstream(lab.order(b"1")[0])
    early.send(OK)
    assert early.was_cut
    client.send(SMUGGLED[-2:])
    victim.send(b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n")
    replica = lab.upstream(lab.order(b"1")[0])
    assert replica is not early
    assert replica.received.startswith(b"GET /home HTTP/1.1\r\n")


def test_poisoned_queue(lab: Lab) -> None:
    """A second answer in the replica's connection never becomes another client's answer."""
    attacker, victim = lab.client(), lab.client()
    request = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n"
    attacker.send(request)
    poisoned = lab.upstream(lab.order(b"1")[0])
    poisoned.send(OK + OK.replace(b"hi", b"xx"))
    victim.send(request)
    clean = lab.upstream(lab.order(b"1")[0])
    assert clean is not poisoned
    clean.send(OK)
    assert victim.received.endswith(b"\r\n\r\nhi")
    assert not attacker.received.endswith(b"xx")


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket, h2c", b"TLS/1.3", b"x"])
def test_no_tunnel(lab: Lab, upgrade: bytes) -> None:
    """Even a replica that would change the protocol is not asked to, and not let; only
    WebSocket may."""
    client = lab.client()
    client.send(
        b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nUpgrade: %b\r\n"
        b"HTTP2-Settings: AAM\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n" % upgrade
    )
    replica = lab.upstream(lab.order(b"1")[0])
    assert b"pgrade" not in replica.received
    assert b"Settings" not in replica.received
    lab.serve(lab.order(b"1")[0])
    replica.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % upgrade)
    assert client.statuses == [502]
    assert not replica.is_open
