"""The replica's side: answers as they may come, cut, and with more than there should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from load_balancer.health import Evidence

if TYPE_CHECKING:
    from .conftest import Feeding, Lab, Peer

GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nContent-Length: 5\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
OURS = b"Via: 1.1 ringlab\r\nX-Replica: Server1\r\nX-Request-ID: 1\r\n"


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """With one replica in service."""
    lab.serve("Server1")
    return lab


@pytest.fixture
def client(lab: Lab) -> Peer:
    return lab.client()


# Answers, whole, byte by byte, and with more behind them than there should be


def test_length(lab: Lab, client: Peer, feed: Feeding) -> None:
    """A body of known length keeps it; our fields come behind the replica's."""
    feed.answer(
        lab.ask(client, GET),
        b"HTTP/1.1 200 Fine\r\nServer: x\r\ncontent-length: 2\r\nConnection: keep-alive, X-Hop\r\n"
        b"X-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\nhi",
    )
    assert client.received == (
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n" + OURS + b"\r\nhi"
    )
    assert client.is_open


def test_chunks(lab: Lab, client: Peer, feed: Feeding) -> None:
    """A chunked body stays chunked and whole; extensions and trailers are left out."""
    feed.answer(
        lab.ask(client, GET),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"2;a\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n",
    )
    start, _, body = client.received.partition(b"\r\n\r\n")
    assert start + b"\r\n" == (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + OURS)
    assert body in (b"2\r\nhi\r\n0\r\n\r\n", b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n")
    assert client.is_open


def test_until_close(lab: Lab, client: Peer) -> None:
    """A body that ends with its connection becomes chunked, and the client's stays."""
    upstream = lab.ask(client, GET)
    upstream.send_byte_by_byte(b"HTTP/1.0 200 OK\r\n\r\nhi")
    upstream.send(b" there")
    assert not client.received.endswith(b"0\r\n\r\n")
    upstream.close()
    assert client.received.endswith(b"\r\n\r\n1\r\nh\r\n1\r\ni\r\n6\r\n there\r\n0\r\n\r\n")
    assert client.is_open
    assert lab.evidence == []


def test_until_close_to_http_1_0(lab: Lab, client: Peer) -> None:
    """A client that knows no chunks gets the end of the connection for the end of the body."""
    upstream = lab.ask(client, GET.replace(b"HTTP/1.1", b"HTTP/1.0\r\nConnection: keep-alive"))
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\nhi")
    upstream.close()
    assert client.received.endswith(b"Connection: close\r\n\r\nhi")
    assert not client.is_open


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b""],
)
def test_head(lab: Lab, client: Peer, feed: Feeding, framing: bytes) -> None:
    """An answer to HEAD ends with its head, whatever it announces."""
    upstream = lab.ask(client, GET.replace(b"GET", b"HEAD"))
    feed.answer(upstream, b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
    kept = framing if b"Length" in framing else b""
    assert client.received == b"HTTP/1.1 200 OK\r\n" + kept + OURS + b"\r\n"
    lab.ask(client, GET)
    assert client.is_open


@pytest.mark.parametrize(("status", "kept"), [(204, b""), (304, b"Content-Length: 5\r\n")])
def test_statuses_without_body(
    lab: Lab, client: Peer, feed: Feeding, status: int, kept: bytes
) -> None:
    """204 and 304 end with their head; 204 must not even tell a length (RFC 9110 §8.6)."""
    feed.answer(lab.ask(client, GET), b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
    start, _, rest = client.received.partition(b"\r\n")
    assert start.startswith(b"HTTP/1.1 %d " % status)
    assert rest == kept + OURS + b"\r\n"
    lab.ask(client, GET)


def test_a_stray_body_goes_nowhere(lab: Lab, client: Peer, feed: Feeding) -> None:
    """What a replica sends behind 204 reaches no client, and its connection ends."""
    upstream = lab.ask(client, GET)
    feed.answer(upstream, b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nstray")
    assert b"stray" not in client.received
    assert not upstream.is_open


def test_interim_answers(lab: Lab, client: Peer, feed: Feeding) -> None:
    """They go on as they come."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
    feed.answer(lab.ask(client, GET), hints * 2 + OK)
    assert client.received.startswith(hints * 2 + b"HTTP/1.1 200 OK\r\n")
    assert client.statuses == [103, 103, 200]


def test_continue_is_said_once(lab: Lab, client: Peer, feed: Feeding) -> None:
    """A replica's 100 goes on unless we have said it ourselves (RFC 9110 §15.2)."""
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    feed.answer(lab.ask(client, GET), go_on + OK)
    assert client.statuses == [100, 200]
    client.take()
    client.send(POST.replace(b"Host", b"Expect: 100-continue\r\nHost"))
    client.send(b"hello")
    feed.answer(lab.upstream("Server1"), go_on + OK)
    assert client.statuses == [100, 200]


def test_interim_answers_to_http_1_0(lab: Lab, client: Peer) -> None:
    """Such a client would take them for the answer."""
    lab.ask(client, GET.replace(b"HTTP/1.1", b"HTTP/1.0")).send(
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK
    )
    assert client.statuses == [200]


def test_values_may_be_followed_by_white_space(lab: Lab, client: Peer) -> None:
    """A length with a blank behind it is a length (RFC 9112 §5.1)."""
    lab.ask(client, GET).send(b"HTTP/1.1 200 OK\r\nContent-Length: 2 \r\n\r\nhi")
    assert client.statuses == [200]


# Cut answers, and more than an answer


@pytest.mark.parametrize(
    ("start", "version"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", b"HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", b"HTTP/1.0"),
    ],
)
@pytest.mark.parametrize("end", ["close", "reset"])
def test_cut_answers_are_seen_as_cut(
    lab: Lab, client: Peer, start: bytes, version: bytes, end: str
) -> None:
    """No last chunk, no second answer, no orderly end (RFC 9112 §8); no other replica either."""
    lab.serve("Server1", "Server2")
    upstream = lab.ask(client, GET.replace(b"HTTP/1.1", version))
    upstream.send(start + b"hel")
    getattr(upstream, end)()
    assert client.was_cut
    assert not client.received.endswith(b"0\r\n\r\n")
    assert client.statuses == [200]
    assert "Server2" not in lab.connections
    assert lab.evidence == [("Server1", Evidence.REFUSED)]


def test_until_close_that_is_reset(lab: Lab, client: Peer) -> None:
    """A reset is no end of a body."""
    upstream = lab.ask(client, GET)
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\nhel")
    upstream.reset()
    assert client.was_cut
    assert not client.received.endswith(b"0\r\n\r\n")


def test_silence_in_the_midst_of_an_answer(lab: Lab, client: Peer) -> None:
    """An answer that stops is cut; one that trickles is not."""
    upstream = lab.ask(client, GET)
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    for octet in b"hel":
        lab.advance(29)
        upstream.send(bytes([octet]))
    assert client.is_open
    lab.advance(30.3)
    assert client.was_cut


def test_a_broken_chunk_cuts(lab: Lab, client: Peer, feed: Feeding) -> None:
    """An answer that breaks its framing is cut, not completed; or not begun, if it came at once."""
    feed.answer(
        lab.ask(client, GET),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiXX",
    )
    assert client.was_cut or client.statuses == [502]
    assert not client.received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "surplus", [OK, b"x", b"HTTP/1.1 200", b"\r\nHTTP/1.1 100 Continue\r\n\r\n"]
)
def test_surplus_reaches_nobody(lab: Lab, client: Peer, surplus: bytes) -> None:
    """What is behind an answer, at once or later, ends the connection."""
    upstream = lab.ask(client, GET)
    upstream.send(OK.replace(b"hi", b"no") + surplus)
    assert not upstream.is_open
    upstream = lab.ask(client, GET)
    upstream.send(OK)
    upstream.send(surplus)
    assert not upstream.is_open
    assert client.received.count(b"HTTP/1.1") == 2


def test_unasked_answers_reach_nobody(lab: Lab, client: Peer) -> None:
    """An idle connection that speaks is given up before it is used again."""
    upstream = lab.ask(client, GET)
    upstream.send(OK)
    upstream.send(OK.replace(b"hi", b"no"))
    second = lab.ask(client, GET)
    assert second is not upstream
    second.send(OK)
    assert b"no" not in client.received.replace(b"nov", b"")


# Heads that will never end, and connections that had been closed


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nhi",
        b"HTTP/1.1 200 OK\r\nA: b\nC: d",
        b"HTTP/1.1 200 OK\rContent-Length: 2\r\rhi",
        b"HTTP/1.1 2x0 OK\r\nA: b\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n",
        b"HTTP/1.1 200 OK\r\nA: \0\r\n",
    ],
)
def test_a_malformed_head_is_not_waited_for(
    lab: Lab, client: Peer, feed: Feeding, beginning: bytes
) -> None:
    """502 as soon as it is seen to be none, though the replica's connection stays open."""
    feed.answer(lab.ask(client, GET), beginning)
    assert client.statuses == [502]


def test_a_head_in_pieces_is_waited_for(lab: Lab, client: Peer) -> None:
    """Wherever it is cut, it may still become one."""
    replica = lab.ask(client, GET)
    replica.send_byte_by_byte(OK.replace(b"\r\n\r\n", b"\r\nA:\t b\r\n\r\n"))
    assert client.statuses == [200]


def test_a_kept_connection_that_was_closed(lab: Lab, client: Peer) -> None:
    """The replica may have closed it before the request came: a GET goes to it once more, by a new
    connection, where there is nobody else; twice it does not."""
    lab.ask(client, GET).send(OK)
    lab.ask(client, GET).reset()
    assert len(lab.connections["Server1"]) == 2
    assert lab.upstream("Server1").take().startswith(b"GET /home ")
    lab.upstream("Server1").reset()
    assert client.statuses == [200, 502]


def test_a_kept_connection_that_was_closed_and_a_post(lab: Lab, client: Peer) -> None:
    """It may have been done: it is not sent again."""
    lab.ask(client, GET).send(OK)
    lab.ask(client, POST + b"hello").reset()
    assert client.statuses == [200, 502]
    assert len(lab.connections["Server1"]) == 1


def test_the_other_kept_connections_are_given_up(lab: Lab) -> None:
    """What has happened to one will have happened to all."""
    clients = [lab.client() for _ in range(3)]
    for client in clients:
        client.send(GET)
    for replica in lab.connections["Server1"]:
        replica.take()
        replica.send(OK)
    lab.ask(clients[0], GET).reset()
    assert [False] * 3 + [True] == [each.is_open for each in lab.connections["Server1"]]


def test_a_head_does_not_wait_for_its_body_for_long(lab: Lab, client: Peer) -> None:
    """Whoever streams shall be seen to have begun; who dies at once may be replaced by another."""
    replica = lab.ask(client, GET)
    replica.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.received == b""
    lab.advance(0.3)
    assert client.statuses == [200]
    replica.send(b"2\r\nhi\r\n0\r\n\r\n")
    assert client.received.endswith(b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    assert client.received.count(b"HTTP/1.1") == 1


def test_a_head_that_went_out_cannot_be_taken_back(lab: Lab, client: Peer) -> None:
    """Then a replica that dies cuts its answer."""
    lab.serve("Server1", "Server2")
    replica = lab.ask(client, GET)
    replica.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    lab.advance(0.3)
    replica.reset()
    assert client.statuses == [200]
    assert client.was_cut
