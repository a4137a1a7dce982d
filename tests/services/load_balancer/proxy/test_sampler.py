"""The sample of answered requests: taken while somebody looks, and of those alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from load_balancer.proxy.sampler import EVERY_S, KEPT, PATIENCE_S

if TYPE_CHECKING:
    from .conftest import Lab, Peer

GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: %d\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture
def client(lab: Lab) -> Peer:
    return lab.client()


def answer(lab: Lab, client: Peer, key: int) -> None:
    lab.ask(client, GET % key).send(OK)


def look(lab: Lab, number: int = 0) -> list[tuple[int, str]]:
    """Keys and hostnames of the samples."""
    samples = lab.do(lambda: lab.server.sampler.since(number))
    return [(sample.key, sample.hostname) for sample in samples]


def test_the_last_answer_is_taken_down(lab: Lab, client: Peer) -> None:
    """Every twentieth of a second, with its key and the replica that answered; each once."""
    assert look(lab) == []
    for key in (3, 4, 5):
        answer(lab, client, key)
    lab.advance(EVERY_S)
    assert look(lab) == [(5, lab.order(b"5")[0])]
    lab.advance(EVERY_S)
    answer(lab, client, 6)
    lab.advance(EVERY_S)
    assert [key for key, _ in look(lab)] == [5, 6]
    assert [key for key, _ in look(lab, 1)] == [6]


def test_nobody_looks(lab: Lab, client: Peer) -> None:
    """Before somebody does and some seconds after, nothing is taken down."""
    answer(lab, client, 1)
    lab.advance(EVERY_S)
    assert look(lab) == []
    lab.advance(EVERY_S)
    assert look(lab) == []
    for _ in range(round((PATIENCE_S + 1) / EVERY_S)):
        lab.advance(EVERY_S)
    answer(lab, client, 2)
    lab.advance(EVERY_S)
    assert look(lab) == []


def test_who_failed_over_is_told_by_who_answered(lab: Lab, client: Peer) -> None:
    """Not by whose key it was."""
    look(lab)
    lab.refuse(lab.order(b"1")[0])
    answer(lab, client, 1)
    lab.advance(EVERY_S)
    assert look(lab) == [(1, lab.order(b"1")[1])]


def test_admin_calls_are_no_requests(lab: Lab, client: Peer) -> None:
    """They land nowhere on the ring."""
    look(lab)
    lab.ask(client, b"GET /rep HTTP/1.1\r\nHost: lab\r\n\r\n").send(OK)
    lab.advance(EVERY_S)
    assert client.statuses == [200]
    assert look(lab) == []


def test_memory_is_bounded(lab: Lab, client: Peer) -> None:
    """The oldest go."""
    for key in range(KEPT + 5):
        look(lab)
        answer(lab, client, key)
        lab.advance(EVERY_S)
    assert [key for key, _ in look(lab)] == list(range(5, KEPT + 5))
