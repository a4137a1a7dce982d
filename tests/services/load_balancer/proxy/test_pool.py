"""The pool of connections to a replica: reuse, size, queue, and what is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from load_balancer.proxy.pool import LATENCY_BUCKETS_S, Stats

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Lab, Peer

GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n"
POST = b"POST /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return with_one_replica(make_lab())


@pytest.fixture
def client(lab: Lab) -> Peer:
    return lab.client()


def with_one_replica(lab: Lab) -> Lab:
    lab.serve("Server1")
    return lab


def test_connections_are_reused(lab: Lab) -> None:
    """Also by other clients."""
    for _ in range(5):
        client = lab.client()
        lab.ask(client, GET).send(OK)
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
    upstream = lab.ask(client, GET)
    upstream.send(answer)
    assert not upstream.is_open
    assert b"Connection: close" not in client.received
    lab.ask(client, GET).send(OK)
    assert client.statuses == [200, 200]


def test_http_1_0_connections_may_be_kept(lab: Lab, client: Peer) -> None:
    """If the replica says so."""
    upstream = lab.ask(client, GET)
    upstream.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")
    assert lab.ask(client, GET) is upstream


def test_uploads_do_not_use_up_the_connections(make_lab: Callable[..., Lab]) -> None:
    """While a request's body is still coming its connection counts apart, up to a number."""
    lab = with_one_replica(make_lab(pool_size=1, pool_uploads=1))
    for _ in range(2):
        lab.client().send(POST[:-1])
    assert len(lab.connections["Server1"]) == 2
    honest, late = lab.client(), lab.client()
    honest.send(GET)
    late.send(GET)
    assert len(lab.connections["Server1"]) == 2
    lab.connections["Server1"][1].reset()  # one upload less
    assert [peer.received[:3] for peer in lab.connections["Server1"][2:]] == [b"GET"]
    lab.connections["Server1"][2].send(OK)
    assert honest.statuses == [200]
    lab.connections["Server1"][2].send(OK)
    assert late.statuses == [200]


def test_closed_connections_are_not_reused(lab: Lab, client: Peer) -> None:
    """One that the replica has closed is out of the pool; its heartbeat is asked for at once."""
    upstream = lab.ask(client, GET)
    upstream.send(OK)
    upstream.close()
    assert lab.evidence == [("Server1", None)]
    lab.ask(client, POST).send(OK)
    assert client.statuses == [200, 200]


def test_idle_connections_end(make_lab: Callable[..., Lab]) -> None:
    """Sooner than replicas end them; that is no evidence of anything."""
    lab = with_one_replica(make_lab(pool_idle_s=4))
    upstream = lab.ask(lab.client(), GET)
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
    lab = with_one_replica(make_lab(pool_size=1, queue_timeout_s=5))
    first, second = lab.client(), lab.client()
    first.send(GET)
    second.send(POST)
    lab.advance(4.9)
    assert second.statuses == []
    lab.advance(0.3)
    assert (first.statuses, second.statuses) == ([], [503])
    lab.upstream("Server1").send(OK)
    assert first.statuses == [200]
    assert lab.evidence == []


def test_who_leaves_the_queue_costs_nothing(make_lab: Callable[..., Lab]) -> None:
    """The next in the queue gets the connection."""
    lab = with_one_replica(make_lab(pool_size=1, queue_timeout_s=5))
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
    lab.ask(staying, GET).send(OK)
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
