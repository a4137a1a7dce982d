"""The replica's side: answers as they may come, and the pool of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from load_balancer.health import Evidence
from load_balancer.proxy.pool import LATENCY_BUCKETS_S, QUEUE_TIMEOUT_S, Stats

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Feeding, Lab, Peer

GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n"
POST = b"POST /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
OURS = b"Via: 1.1 ringlab\r\nX-Request-ID: 1\r\nX-Replica: Server1\r\n"


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return with_one_replica(make_lab())


@pytest.fixture
def client(lab: Lab) -> Peer:
    return lab.client()


def with_one_replica(lab: Lab) -> Lab:
    lab.serve("Server1")
    return lab


def ask(lab: Lab, client: Peer, request: bytes = GET) -> Peer:
    """The connection by which a request reached the replica."""
    client.send(request)
    (upstream,) = (peer for peer in lab.connections["Server1"] if peer.take())
    return upstream


# Answers, whole, byte by byte, and with more behind them than there should be


def test_length(lab: Lab, client: Peer, feed: Feeding) -> None:
    """A body of known length keeps it; our fields come behind the replica's."""
    feed.answer(
        ask(lab, client),
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
        ask(lab, client),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"2;a\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n",
    )
    start, _, body = client.received.partition(b"\r\n\r\n")
    assert start + b"\r\n" == (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + OURS)
    assert body in (b"2\r\nhi\r\n0\r\n\r\n", b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n")
    assert client.is_open


def test_until_close(lab: Lab, client: Peer) -> None:
    """A body that ends with its connection becomes chunked, and the client's stays."""
    upstream = ask(lab, client)
    upstream.send_byte_by_byte(b"HTTP/1.0 200 OK\r\n\r\nhi")
    upstream.send(b" there")
    assert not client.received.endswith(b"0\r\n\r\n")
    upstream.close()
    assert client.received.endswith(b"\r\n\r\n1\r\nh\r\n1\r\ni\r\n6\r\n there\r\n0\r\n\r\n")
    assert client.is_open
    assert lab.evidence == []


def test_until_close_to_http_1_0(lab: Lab, client: Peer) -> None:
    """A client that knows no chunks gets the end of the connection for the end of the body."""
    upstream = ask(lab, client, GET.replace(b"HTTP/1.1", b"HTTP/1.0\r\nConnection: keep-alive"))
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\nhi")
    upstream.close()
    assert client.received.endswith(b"Connection: close\r\n\r\nhi")
    assert not client.is_open


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b""],
)
def test_head(lab: Lab, client: Peer, feed: Feeding, framing: bytes) -> None:
    """An answer to HEAD ends with its head, whatever it announces (HTTP.md R46)."""
    upstream = ask(lab, client, GET.replace(b"GET", b"HEAD"))
    feed.answer(upstream, b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
    kept = framing if b"Length" in framing else b""
    assert client.received == b"HTTP/1.1 200 OK\r\n" + kept + OURS + b"\r\n"
    ask(lab, client)
    assert client.is_open


@pytest.mark.parametrize(("status", "kept"), [(204, b""), (304, b"Content-Length: 5\r\n")])
def test_statuses_without_body(
    lab: Lab, client: Peer, feed: Feeding, status: int, kept: bytes
) -> None:
    """204 and 304 end with their head; 204 must not even tell a length (RFC 9110 §8.6)."""
    feed.answer(ask(lab, client), b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
    start, _, rest = client.received.partition(b"\r\n")
    assert start.startswith(b"HTTP/1.1 %d " % status)
    assert rest == kept + OURS + b"\r\n"
    ask(lab, client)


def test_a_stray_body_goes_nowhere(lab: Lab, client: Peer, feed: Feeding) -> None:
    """What a replica sends behind 204 reaches no client, and its connection ends."""
    upstream = ask(lab, client)
    feed.answer(upstream, b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nstray")
    assert b"stray" not in client.received
    assert not upstream.is_open


def test_interim_answers(lab: Lab, client: Peer, feed: Feeding) -> None:
    """They go on as they come; 100, which we have given ourselves, does not (R45)."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
    feed.answer(ask(lab, client), b"HTTP/1.1 100 Continue\r\n\r\n" + hints * 2 + OK)
    assert client.received.startswith(hints * 2 + b"HTTP/1.1 200 OK\r\n")
    assert client.statuses == [103, 103, 200]


def test_interim_answers_to_http_1_0(lab: Lab, client: Peer) -> None:
    """Such a client would take them for the answer."""
    ask(lab, client, GET.replace(b"HTTP/1.1", b"HTTP/1.0")).send(
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK
    )
    assert client.statuses == [200]


def test_values_may_be_followed_by_white_space(lab: Lab, client: Peer) -> None:
    """A length with a blank behind it is a length (RFC 9112 §5.1)."""
    ask(lab, client).send(b"HTTP/1.1 200 OK\r\nContent-Length: 2 \r\n\r\nhi")
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
    upstream = ask(lab, client, GET.replace(b"HTTP/1.1", version))
    upstream.send(start + b"hel")
    getattr(upstream, end)()
    assert client.was_cut
    assert not client.received.endswith(b"0\r\n\r\n")
    assert client.statuses == [200]
    assert "Server2" not in lab.connections
    assert lab.evidence == [("Server1", Evidence.REFUSED)]


def test_until_close_that_is_reset(lab: Lab, client: Peer) -> None:
    """A reset is no end of a body."""
    upstream = ask(lab, client)
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\nhel")
    upstream.reset()
    assert client.was_cut
    assert not client.received.endswith(b"0\r\n\r\n")


def test_silence_in_the_midst_of_an_answer(lab: Lab, client: Peer) -> None:
    """An answer that stops is cut; one that trickles is not."""
    upstream = ask(lab, client)
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
        ask(lab, client),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiXX",
    )
    assert client.was_cut or client.statuses == [502]
    assert not client.received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "surplus", [OK, b"x", b"HTTP/1.1 200", b"\r\nHTTP/1.1 100 Continue\r\n\r\n"]
)
def test_surplus_reaches_nobody(lab: Lab, client: Peer, surplus: bytes) -> None:
    """What is behind an answer, at once or later, ends the connection (HTTP.md R60)."""
    upstream = ask(lab, client)
    upstream.send(OK.replace(b"hi", b"no") + surplus)
    assert not upstream.is_open
    upstream = ask(lab, client)
    upstream.send(OK)
    upstream.send(surplus)
    assert not upstream.is_open
    assert client.received.count(b"HTTP/1.1") == 2


def test_unasked_answers_reach_nobody(lab: Lab, client: Peer) -> None:
    """An idle connection that speaks is given up before it is used again."""
    upstream = ask(lab, client)
    upstream.send(OK)
    upstream.send(OK.replace(b"hi", b"no"))
    second = ask(lab, client)
    assert second is not upstream
    second.send(OK)
    assert b"no" not in client.received.replace(b"nov", b"")


# The pool


def test_connections_are_reused(lab: Lab) -> None:
    """Also by other clients."""
    for _ in range(5):
        client = lab.client()
        ask(lab, client).send(OK)
        client.close()
    assert len(lab.connections["Server1"]) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ],
)
def test_connections_that_close_are_not_reused(lab: Lab, client: Peer, answer: bytes) -> None:
    """The replica has said that it is the last answer; ours to the client may not be."""
    upstream = ask(lab, client)
    upstream.send(answer)
    assert not upstream.is_open
    assert b"Connection: close" not in client.received
    ask(lab, client).send(OK)
    assert client.statuses == [200, 200]


def test_http_1_0_connections_may_be_kept(lab: Lab, client: Peer) -> None:
    """If the replica says so."""
    upstream = ask(lab, client)
    upstream.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")
    assert ask(lab, client) is upstream


def test_closed_connections_are_not_reused(lab: Lab, client: Peer) -> None:
    """One that the replica has closed is out of the pool; its heartbeat is asked for at once."""
    upstream = ask(lab, client)
    upstream.send(OK)
    upstream.close()
    assert lab.evidence == [("Server1", None)]
    ask(lab, client, POST).send(OK)
    assert client.statuses == [200, 200]


def test_idle_connections_end(make_lab: Callable[..., Lab]) -> None:
    """Sooner than replicas end them; that is no evidence of anything."""
    lab = with_one_replica(make_lab(pool_idle_s=4))
    upstream = ask(lab, lab.client())
    upstream.send(OK)
    lab.advance(3.9)
    assert upstream.is_open
    lab.advance(0.4)
    assert not upstream.is_open
    assert lab.evidence == []


def test_the_pool_has_a_size(make_lab: Callable[..., Lab]) -> None:
    """More requests wait for a connection that becomes free, in the order in which they came."""
    lab = with_one_replica(make_lab(pool_size=2))
    clients = [lab.client() for _ in range(4)]
    for client in clients:
        client.send(GET)
    assert len(lab.connections["Server1"]) == 2
    assert lab.server.in_flight == {"Server1": 4}
    first, second = lab.connections["Server1"]
    first.send(OK)
    first.send(OK)
    second.send(OK)
    assert [client.statuses for client in clients] == [[200], [200], [200], []]
    first.send(OK)
    assert clients[3].statuses == [200]
    assert lab.server.in_flight == {"Server1": 0}


def test_the_queue_has_a_deadline(make_lab: Callable[..., Lab]) -> None:
    """Who waited too long for a connection goes on to the next replica, or is told."""
    lab = with_one_replica(make_lab(pool_size=1))
    first, second = lab.client(), lab.client()
    first.send(GET)
    second.send(POST)
    lab.advance(QUEUE_TIMEOUT_S + 0.1)
    assert (first.statuses, second.statuses) == ([], [503])
    lab.upstream("Server1").send(OK)
    assert first.statuses == [200]
    assert lab.evidence == []


def test_who_leaves_the_queue_costs_nothing(make_lab: Callable[..., Lab]) -> None:
    """The next in the queue gets the connection."""
    lab = with_one_replica(make_lab(pool_size=1))
    clients = [lab.client() for _ in range(3)]
    for client in clients:
        client.send(GET)
    clients[1].reset()
    lab.upstream("Server1").send(OK)
    lab.upstream("Server1").send(OK)
    assert clients[2].statuses == [200]
    assert len(lab.connections["Server1"]) == 1


def test_who_leaves_while_connecting_leaves_a_connection(lab: Lab) -> None:
    """Which the next request uses; nothing was sent on it."""
    leaving, staying = lab.client(), lab.client()
    lab.unreachable.add("Server1")
    leaving.send(GET)
    leaving.reset()
    lab.reach("Server1")
    assert lab.upstream("Server1").received == b""
    ask(lab, staying).send(OK)
    assert len(lab.connections["Server1"]) == 1


def test_a_failed_connection_makes_room(make_lab: Callable[..., Lab]) -> None:
    """Who waits behind a connection that cannot be made goes on at once, not at the deadline."""
    lab = make_lab(pool_size=1)
    order = lab.order(b"1")
    lab.unreachable.add(order[0])
    clients = [lab.client() for _ in range(3)]
    for client in clients:
        client.send(POST)
    lab.unreachable.clear()
    lab.refuse(order[0])
    lab.advance(2.01)
    for _ in clients:
        lab.upstream(order[1]).send(OK)
    assert [client.statuses for client in clients] == [[200], [200], [200]]


# What is counted


def test_answers_are_counted() -> None:
    """By the first digit, with how long they took; what is no status is a server's error."""
    stats = Stats()
    for status in (200, 204, 301, 404, 500, 600, 999):
        stats.answered(status, 0.005)
    stats.answered(200, 11)
    assert stats.answers[1:] == [0, 3, 1, 1, 3]
    assert stats.latency_counts[LATENCY_BUCKETS_S.index(0.005)] == 7
    assert stats.latency_counts[-1] == 1
    assert stats.latency_sum_s == pytest.approx(11.035)


def test_tries_are_counted(lab: Lab, client: Peer) -> None:
    """A lost try counts where it was lost, and as a retry if it went on from there."""
    lab.serve(*lab.replicas)
    first, second, _ = lab.order(b"1")
    client.send(GET)
    lab.upstream(first).reset()
    lab.advance(0.2)
    lab.upstream(second).send(OK)
    stats = lab.server.stats
    assert (stats[first].losses, stats[first].retries, sum(stats[first].answers)) == (1, 1, 0)
    assert (stats[second].losses, stats[second].retries, stats[second].answers[2]) == (0, 0, 1)
    assert stats[second].latency_sum_s == pytest.approx(0.2)
