"""The data plane as a whole: accepting, draining, cutting, closing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from load_balancer.health import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Lab, Peer

GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n"
POST = b"POST /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture
def order(lab: Lab) -> tuple[str, ...]:
    return lab.order(b"1")


def test_a_new_table_is_used_at_once(lab: Lab, order: tuple[str, ...]) -> None:
    """By the next request; one that is under way ends where it is."""
    first, second = lab.client(), lab.client()
    first.send(GET)
    lab.serve(order[1])
    second.send(GET)
    lab.upstream(order[1]).send(OK)
    lab.upstream(order[0]).send(OK)
    assert (first.statuses, second.statuses) == ([200], [200])


# Connections have a number


def test_too_many_connections(make_lab: Callable[..., Lab]) -> None:
    """One more than there may be is turned away with 503, and nothing of it is read."""
    lab = make_lab(max_connections=2)
    clients = [lab.client() for _ in range(3)]
    clients[2].send(GET)
    assert clients[2].statuses == [503]
    assert b"Connection: close\r\n" in clients[2].received
    assert not clients[2].is_open
    assert not lab.connections
    assert lab.server.num_clients == 2
    clients[0].close()
    newcomer = lab.client()
    newcomer.send(GET)
    lab.upstream(lab.order(b"1")[0]).send(OK)
    assert newcomer.statuses == [200]


def test_too_many_connections_of_one_client(make_lab: Callable[..., Lab]) -> None:
    """Of which there is no limit unless it is set: then 429, and others are served."""
    lab = make_lab(max_connections_per_client=2)
    clients = [lab.client() for _ in range(3)]
    assert clients[2].statuses == [429]
    assert b"Retry-After: 1\r\n" in clients[2].received
    clients[0].close()
    newcomer = lab.client()
    newcomer.send(GET)
    lab.upstream(lab.order(b"1")[0]).send(OK)
    assert newcomer.statuses == [200]


# Leaving


def test_drain_waits_for_what_is_under_way(lab: Lab, order: tuple[str, ...]) -> None:
    """Idle connections end at once, others with their answer; then the replica may stop."""
    clients = [lab.client() for _ in range(2)]
    for client in clients:
        client.send(GET)
    idle, busy = lab.connections[order[0]]
    idle.send(OK)
    lab.serve(order[1])
    drain = lab.start(lab.server.drain(lab.replicas[order[0]], 30))
    assert (idle.is_open, busy.is_open, drain.done()) == (False, True, False)
    lab.advance(20)
    busy.send(OK)
    assert (clients[1].statuses, busy.is_open, drain.done()) == ([200], False, True)
    assert lab.evidence == []
    assert lab.server.in_flight == {}


def test_drain_waits_for_the_queue(make_lab: Callable[..., Lab]) -> None:
    """Who waits for a connection to it is under way, too."""
    lab = make_lab(pool_size=1)
    order = lab.order(b"1")
    clients = [lab.client() for _ in range(2)]
    for client in clients:
        client.send(POST)
    drain = lab.start(lab.server.drain(lab.replicas[order[0]], 30))
    lab.upstream(order[0]).send(OK)
    assert not drain.done()
    lab.upstream(order[0]).send(OK)
    assert [client.statuses for client in clients] == [[200], [200]]
    assert drain.done()


def test_drain_ends_though_connections_fail(lab: Lab, order: tuple[str, ...]) -> None:
    """A request that gives up connecting is no longer under way."""
    lab.unreachable.add(order[0])
    client = lab.client()
    client.send(GET)
    drain = lab.start(lab.server.drain(lab.replicas[order[0]], 30))
    lab.advance(2.01)
    assert drain.done()
    lab.upstream(order[1]).send(OK)
    assert client.statuses == [200]


def test_drain_cuts_what_takes_too_long(lab: Lab, order: tuple[str, ...]) -> None:
    """After its time, a safe request goes elsewhere, another fails."""
    clients = [lab.client(), lab.client()]
    clients[0].send(GET)
    clients[1].send(POST)
    lab.serve(order[1])
    drain = lab.start(lab.server.drain(lab.replicas[order[0]], 5))
    lab.advance(5.1)
    assert drain.done()
    lab.upstream(order[1]).send(OK)
    assert [client.statuses for client in clients] == [[200], [502]]


def test_drain_ends_with_a_cut(lab: Lab, order: tuple[str, ...]) -> None:
    """A replica that is found dead while it leaves holds nobody any longer."""
    client = lab.client()
    client.send(GET)
    leaving = lab.replicas[order[0]]
    drain = lab.start(lab.server.drain(leaving, 30))
    lab.do(lambda: lab.server.cut(leaving))
    assert drain.done()
    lab.upstream(order[1]).send(OK)
    assert client.statuses == [200]


def test_drain_of_an_unused_replica(lab: Lab) -> None:
    """There is nothing to wait for."""
    assert lab.start(lab.server.drain(lab.replicas["Server1"], 30)).done()


def test_a_dead_replica_is_cut(make_lab: Callable[..., Lab]) -> None:
    """Nobody waits for it: who was sent goes on if safe, who was not sent goes on in any case."""
    lab = make_lab(pool_size=3)
    order = lab.order(b"1")
    sent_get, sent_post, connecting, queued = clients = [lab.client() for _ in range(4)]
    sent_get.send(GET)
    sent_post.send(POST)
    lab.unreachable.add(order[0])
    connecting.send(POST)
    queued.send(POST)
    lab.serve(order[1])
    lab.do(lambda: lab.server.cut(lab.replicas[order[0]]))
    lab.reach(order[0])
    while asked := [peer for peer in lab.connections[order[1]] if peer.take()]:
        for peer in asked:
            peer.send(OK)
    assert [client.statuses for client in clients] == [[200], [502], [200], [200]]
    assert all(not peer.is_open for peer in lab.connections[order[0]])
    assert len(lab.connections[order[0]]) == 2
    assert {hostname for hostname, _ in lab.evidence} == {order[0]}


def test_a_suspect_replica_is_not_waited_for(make_lab: Callable[..., Lab]) -> None:
    """Who waits for a connection, be it made or in use, goes on to the next replica."""
    lab = make_lab(pool_size=2)
    order = lab.order(b"1")
    busy, connecting, queued = clients = [lab.client() for _ in range(3)]
    busy.send(POST)
    lab.unreachable.add(order[0])
    connecting.send(POST)
    queued.send(POST)
    lab.do(lambda: lab.server.replica_suspected(lab.replicas[order[0]]))
    for peer in lab.connections[order[1]]:
        peer.send(OK)
    assert [client.statuses for client in clients] == [[], [200], [200]]
    lab.upstream(order[0]).send(OK)
    assert busy.statuses == [200]


def test_a_cut_replica_that_returns_is_used(lab: Lab, order: tuple[str, ...]) -> None:
    """A server that we do not manage may answer again, under the same name."""
    lab.do(lambda: lab.server.cut(lab.replicas[order[0]]))
    client = lab.client()
    client.send(GET)
    lab.upstream(order[0]).send(OK)
    assert client.statuses == [200]


@pytest.mark.parametrize(
    ("event", "evidence"), [("reset", Evidence.REFUSED), ("close", Evidence.REFUSED)]
)
def test_evidence_is_told_at_once(
    lab: Lab, order: tuple[str, ...], event: str, evidence: Evidence
) -> None:
    """Membership hears of a broken connection before the request is tried elsewhere."""
    lab.client().send(GET)
    getattr(lab.upstream(order[0]), event)()
    assert lab.evidence == [(order[0], evidence)]


# Stopping


@pytest.fixture
def clients(lab: Lab) -> list[Peer]:
    """One that idles, one that waits for its answer, one that is in the midst of it."""
    idle, waiting, answered = made = [lab.client() for _ in range(3)]
    idle.send(GET)
    lab.upstream(lab.order(b"1")[0]).send(OK)
    waiting.send(GET)
    answered.send(GET)
    lab.upstream(lab.order(b"1")[0]).send(OK[:-1])
    return made


def test_close_answers_what_is_under_way(lab: Lab, clients: list[Peer]) -> None:
    """No more is accepted, idle connections end, the others with their answer."""
    idle, waiting, _ = clients
    idle.send(b"\r\n")  # which some send behind a body
    closing = lab.start(lab.server.close(8))
    lab.advance(0.1)
    assert (lab.listener.is_open, idle.is_open, waiting.is_open) == (False, False, True)
    for peer in lab.connections[lab.order(b"1")[0]]:
        if peer.is_open:
            peer.send(OK[-1:] if peer is lab.upstream(lab.order(b"1")[0]) else OK)
    lab.advance(0.1)
    assert b"Connection: close\r\n" in waiting.received
    assert [client.statuses for client in clients] == [[200], [200], [200]]
    assert not any(client.was_cut for client in clients)
    lab.advance(0.1)
    assert closing.done()


def test_close_waits_for_newcomers(lab: Lab) -> None:
    """Who was accepted, also in the very last moment, and has not asked yet, is answered."""
    quick, dripping, silent = (lab.client() for _ in range(3))
    closing = lab.start(lab.server.close(8))
    last = lab.client()  # it had been accepted, and becomes known only now
    dripping.send(GET[:9])
    for client in (quick, last):
        lab.advance(0.4)
        client.send(GET)
        lab.upstream(lab.order(b"1")[0]).send(OK)
        assert client.statuses == [200]
        assert b"Connection: close\r\n" in client.received
    assert silent.is_open
    lab.advance(0.3)
    assert not silent.is_open
    dripping.send(GET[9:])
    lab.upstream(lab.order(b"1")[0]).send(OK)
    assert dripping.statuses == [200]
    lab.advance(0.1)
    assert closing.done()


def test_close_cuts_after_its_grace(lab: Lab, clients: list[Peer]) -> None:
    """What takes longer than the grace is cut, and nothing is left behind."""
    closing = lab.start(lab.server.close(8))
    lab.advance(0.1)
    lab.advance(8)
    assert closing.done()
    lab.do(lambda: None)
    assert [client.was_cut for client in clients] == [False, True, True]
    assert not any(peer.is_open for peers in lab.connections.values() for peer in peers)
