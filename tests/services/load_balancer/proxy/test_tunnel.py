"""WebSocket: after 101 a connection is a tunnel, and its bytes are nobody's business."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Lab, Peer

WISH = (
    b"GET /chat HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
)
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: y\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n"


@pytest.fixture
def client(lab: Lab) -> Peer:
    return lab.client()


@pytest.fixture
def replica(client: Peer, lab: Lab) -> Peer:
    """At the far end of an open tunnel, of which nothing was read yet."""
    upstream = lab.ask(client, WISH)
    upstream.send(ACCEPTED)
    return upstream


def test_the_handshake_passes(client: Peer, lab: Lab) -> None:
    """With what belongs to it, and with who answered."""
    client.send(WISH)
    upstream = lab.upstream(lab.order(b"1")[0])
    assert b"\r\nSec-WebSocket-Key: x\r\n" in upstream.received
    assert b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" in upstream.received
    upstream.send_byte_by_byte(ACCEPTED)
    assert client.statuses == [101]
    assert b"\r\nSec-WebSocket-Accept: y\r\n" in client.received
    assert b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" in client.received
    assert b"X-Replica: %b\r\n" % lab.order(b"1")[0].encode() in client.received


def test_bytes_go_both_ways(client: Peer, replica: Peer) -> None:
    """As they are, a request among them too."""
    client.take()
    client.send(GET)
    replica.send(OK)
    client.send(b"\x00\xff")
    assert replica.received == GET + b"\x00\xff"
    assert client.received == OK


def test_bytes_that_were_early(client: Peer, lab: Lab) -> None:
    """What the client sent behind its wish, and the replica behind its answer, is there."""
    client.send(WISH + b"early")
    upstream = lab.upstream(lab.order(b"1")[0])
    assert upstream.take().endswith(b"\r\n\r\n")
    upstream.send(ACCEPTED + b"first")
    assert upstream.received == b"early"
    assert client.received.endswith(b"\r\n\r\nfirst")


def test_a_replica_may_refuse(client: Peer, lab: Lab) -> None:
    """Then nothing has changed, and what came behind is the next request."""
    client.send(WISH + GET)
    upstream = lab.upstream(lab.order(b"1")[0])
    upstream.send(OK)
    assert upstream.received.endswith(b"X-Request-ID: 1\r\n\r\n")
    assert b"GET /home" in upstream.received
    upstream.send(OK)
    assert client.statuses == [200, 200]


@pytest.mark.parametrize("end", ["close", "reset"])
def test_each_end_ends_the_other(lab: Lab, end: str) -> None:
    """And no replica is suspected for hanging up a tunnel."""
    for first in ("client", "replica"):
        client = lab.client()
        upstream = lab.ask(client, WISH)
        upstream.send(ACCEPTED)
        ends = {"client": client, "replica": upstream}
        getattr(ends.pop(first), end)()
        (other,) = ends.values()
        assert not other.is_open
    assert lab.evidence == []


def test_a_slow_end_stops_the_other(client: Peer, replica: Peer) -> None:
    """In both directions."""
    client.stop_reading()
    replica.send(b"a")
    assert not replica.is_read
    client.read_on()
    assert replica.is_read
    replica.stop_reading()
    client.send(b"b")
    assert not client.is_read
    replica.read_on()
    assert client.is_read


def test_silence_ends_it(make_lab: Callable[..., Lab]) -> None:
    """After its own time, longer than an answer's; each byte begins it anew."""
    lab = make_lab(tunnel_timeout_s=100)
    client = lab.client()
    upstream = lab.ask(client, WISH)
    upstream.send(ACCEPTED)
    for peer in (client, upstream, client):
        lab.advance(60)
        peer.send(b"a")
    for peer in (upstream, client):
        peer.send(b"a")
    lab.advance(99)
    assert client.is_open
    lab.advance(2)
    assert not client.is_open
    assert not upstream.is_open


def test_a_drain_cuts_it_in_the_end(client: Peer, replica: Peer, lab: Lab) -> None:
    """A replica that leaves is not held for ever."""
    name = lab.order(b"1")[0]
    draining = lab.start(lab.server.drain(lab.replicas[name], 30))
    lab.advance(29)
    assert not draining.done()
    lab.advance(2)
    assert draining.done()
    assert not client.is_open
