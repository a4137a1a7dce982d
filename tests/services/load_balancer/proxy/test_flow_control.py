"""Backpressure: a slow reader stops the reading on the other side, and nothing is lost by it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from load_balancer.proxy.flow_control import BODY_WAITS, MAX_WAITING_BYTES, PEER_SLOW, ReadGate

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Lab, Peer

GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n"
LONG_POST = b"POST / HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nContent-Length: 100000\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
LONG_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
BODY = b"0123456789" * 10_000


@pytest.fixture
def client(lab: Lab) -> Peer:
    return lab.client()


@pytest.fixture
def replica(lab: Lab) -> Callable[[], Peer]:
    """The newest connection to the replica of request id 1."""
    return lambda: lab.upstream(lab.order(b"1")[0])


class RecordingTransport(asyncio.Transport):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def test_a_gate_opens_when_no_reason_is_left() -> None:
    """Each reason counts once, and the transport hears of changes only."""
    transport = RecordingTransport()
    gate = ReadGate(transport)
    gate.open(PEER_SLOW)
    gate.close(PEER_SLOW)
    gate.close(PEER_SLOW)
    gate.close(BODY_WAITS)
    gate.open(PEER_SLOW)
    assert (transport.calls, gate.is_open) == (["pause"], False)
    gate.open(BODY_WAITS)
    assert (transport.calls, gate.is_open) == (["pause", "resume"], True)


def test_a_slow_client_stops_its_replica(client: Peer, replica: Callable[[], Peer]) -> None:
    """And no other; when it reads on, everything is there."""
    client.send(GET)
    client.stop_reading()
    replica().send(LONG_OK + BODY[:50_000])
    assert not replica().is_read
    replica().send(BODY[50_000:])
    assert client.received.endswith(BODY[:50_000])
    client.read_on()
    assert client.received.endswith(b"\r\n\r\n" + BODY)
    assert replica().is_read


def test_a_slow_replica_stops_its_client(client: Peer, replica: Callable[[], Peer]) -> None:
    """The other way round it is the same."""
    client.send(LONG_POST)
    replica().stop_reading()
    client.send(BODY[:50_000])
    assert not client.is_read
    client.send(BODY[50_000:])
    assert replica().received.endswith(BODY[:50_000])
    replica().read_on()
    assert replica().received.endswith(b"\r\n\r\n" + BODY)
    assert client.is_read
    replica().send(OK)
    assert client.statuses == [200]


def test_a_body_without_a_connection_is_not_read(
    client: Peer, lab: Lab, replica: Callable[[], Peer]
) -> None:
    """Only so much of it waits with us."""
    lab.unreachable |= set(lab.replicas)
    client.send(LONG_POST)
    for start in range(0, len(BODY), 10_000):
        client.send(BODY[start : start + 10_000])
    assert not client.is_read
    lab.reach(lab.order(b"1")[0])
    sent, _, body = replica().received.partition(b"\r\n\r\n")
    assert (sent[:6], body) == (b"POST /", BODY)
    assert client.is_read


def test_a_pipelined_body_waits_unread(client: Peer, replica: Callable[[], Peer]) -> None:
    """Until the requests before it are answered."""
    client.send(GET + LONG_POST)
    client.send(BODY[: MAX_WAITING_BYTES + 1])
    assert not client.is_read
    replica().send(OK)
    assert client.is_read
    client.send(BODY[MAX_WAITING_BYTES + 1 :])
    replica().send(OK)
    assert client.statuses == [200, 200]
    assert replica().received.endswith(b"\r\n\r\n" + BODY)


def test_a_slow_client_does_not_get_more_answers(client: Peer, replica: Callable[[], Peer]) -> None:
    """While it has not read one answer, the next request waits, or answers would pile up."""
    client.send(GET * 2)
    client.stop_reading()
    replica().take()
    replica().send(LONG_OK + BODY)
    client.send(GET)
    assert replica().received == b""
    client.read_on()
    replica().send(OK)
    replica().send(OK)
    assert client.statuses == [200, 200, 200]


def test_a_refusal_waits_for_a_slow_client(client: Peer, replica: Callable[[], Peer]) -> None:
    """Also when it is our own."""
    client.send(GET)
    client.stop_reading()
    replica().send(OK)
    client.send(b"nonsense\r\n\r\n")
    client.read_on()
    assert client.statuses == [200, 400]
    assert client.saw_eof


def test_an_answer_before_the_replica_has_read(
    client: Peer, lab: Lab, replica: Callable[[], Peer]
) -> None:
    """Its connection still has a body to transmit: it is not used again, and the client is read."""
    client.send(LONG_POST)
    first = replica()
    first.stop_reading()
    client.send(BODY)
    assert not client.is_read
    first.send(OK)
    assert client.statuses == [200]
    assert client.is_read
    assert not first.is_open
    client.send(GET)
    replica().send(OK)
    assert client.statuses == [200, 200]


def test_a_slow_replica_that_resets(client: Peer, replica: Callable[[], Peer]) -> None:
    """The client hears of it, and may finish writing."""
    client.send(LONG_POST)
    replica().stop_reading()
    client.send(BODY[:50_000])
    replica().reset()
    assert client.statuses == [502]
    assert client.is_read
