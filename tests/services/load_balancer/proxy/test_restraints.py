"""Outliers get nothing for a while, newcomers more and more; and never so that nobody is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from load_balancer.proxy.restraints import FIRST_SHARE, MAX_EJECTION_S

if TYPE_CHECKING:
    from .conftest import Lab, Peer

GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: %d\r\n\r\n"
POST = b"POST /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
FAULT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno"


@pytest.fixture
def client(lab: Lab) -> Peer:
    return lab.client()


@pytest.fixture
def order(lab: Lab) -> tuple[str, ...]:
    return lab.order(b"1")


def answer(lab: Lab, client: Peer, with_: bytes, request: bytes = GET % 1) -> str:
    """The hostname of the replica that was asked, and answered so."""
    upstream = lab.ask(client, request)
    upstream.send(with_)
    return next(name for name, peers in lab.connections.items() if upstream in peers)


def test_an_outlier_is_ejected_for_a_time(lab: Lab, client: Peer, order: tuple[str, ...]) -> None:
    """Five 5xx in a row, which the client gets all the same; then the next has its keys."""
    assert [order[0]] * 5 == [answer(lab, client, FAULT) for _ in range(5)]
    assert client.statuses == [500] * 5
    assert answer(lab, client, OK) == order[1]
    assert lab.events == [("ejected", {"hostname": order[0], "failures": 5, "for_s": 30.0})]
    lab.advance(29)
    assert answer(lab, client, OK) == order[1]
    lab.advance(1.3)
    assert answer(lab, client, OK) == order[0]
    assert lab.events[1:] == [("readmitted", {"hostname": order[0]})]


def test_each_time_is_longer(lab: Lab, order: tuple[str, ...]) -> None:
    """Up to 300 s."""
    for times in range(1, 13):
        client = lab.client()
        for _ in range(5):
            assert answer(lab, client, FAULT) == order[0]
        time_s = min(30.0 * times, MAX_EJECTION_S)
        assert lab.events[-1][1]["for_s"] == time_s
        lab.advance(time_s + 0.3)


@pytest.mark.parametrize("other", [OK, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"])
def test_only_failures_in_a_row_count(
    lab: Lab, client: Peer, order: tuple[str, ...], other: bytes
) -> None:
    """One answer among them, and counting begins anew."""
    for _ in range(3):
        for _ in range(4):
            answer(lab, client, FAULT)
        assert answer(lab, client, other) == order[0]
    assert lab.events == []


def test_answers_on_other_connections_count(lab: Lab, client: Peer, order: tuple[str, ...]) -> None:
    """Also those that are passed on by comparison with the one before."""
    other = lab.client()
    other.send(GET % 1)
    well = lab.upstream(order[0])
    well.take()
    well.send(OK)
    for _ in range(9):
        other.send(GET % 1)  # takes the connection that is free
        well.take()
        answer(lab, client, FAULT)
        well.send(OK)
    assert len(lab.connections[order[0]]) == 2
    assert lab.events == []


def test_silence_counts(make_lab: Callable[..., Lab]) -> None:
    """An answer that does not come in time is a failure."""
    lab = make_lab(outlier_failures=2, response_timeout_s=5)
    client = lab.client()
    for _ in range(2):
        client.send(POST)
        lab.advance(5.3)
    assert client.statuses == [504, 504]
    assert [kind for kind, _ in lab.events] == ["ejected"]


def test_half_stay_at_least(lab: Lab, client: Peer) -> None:
    """Of three replicas one may be out; with one or none, nobody."""
    for request_id in range(1, 200):
        answer(lab, client, FAULT, GET % request_id)
    assert [kind for kind, _ in lab.events] == ["ejected"]
    first = str(lab.events[0][1]["hostname"])
    lab.serve(first)
    lab.advance(31)
    for request_id in range(1, 20):
        assert answer(lab, client, FAULT, GET % request_id) == first


def test_the_last_one_is_asked_though_ejected(
    lab: Lab, client: Peer, order: tuple[str, ...]
) -> None:
    """When the others have left meanwhile."""
    for _ in range(5):
        answer(lab, client, FAULT)
    lab.serve(order[0])
    assert answer(lab, client, OK) == order[0]


def test_it_can_be_turned_off(make_lab: Callable[..., Lab]) -> None:
    """With outlier_failures 0 an error of a replica is its own business."""
    lab = make_lab(outlier_failures=0)
    client = lab.client()
    assert {lab.order(b"1")[0]} == {answer(lab, client, FAULT) for _ in range(20)}


def test_newcomers_begin_slowly_if_wanted(make_lab: Callable[..., Lab]) -> None:
    """A tenth of their keys at first, then more in proportion to time, in the end all; the others
    keep theirs."""
    lab = make_lab(slow_start_s=10)
    lab.serve("Server1", "Server2")
    lab.serve("Server1", "Server2", "Server3")
    ids = [n for n in range(1, 1500) if lab.order(b"%d" % n)[0] == "Server3"]
    others = [n for n in range(1, 60) if lab.order(b"%d" % n)[0] != "Server3"]
    client = lab.client()

    def share() -> float:
        served = [answer(lab, client, OK, GET % n) for n in ids]
        assert {lab.order(b"%d" % n)[1] for n in ids} >= set(served) - {"Server3"}
        return served.count("Server3") / len(ids)

    assert share() == pytest.approx(FIRST_SHARE, abs=0.05)
    lab.advance(5)
    assert share() == pytest.approx(0.5, abs=0.05)
    for n in others:
        assert answer(lab, client, OK, GET % n) == lab.order(b"%d" % n)[0]
    lab.advance(5.3)
    assert share() == 1


def test_at_the_beginning_nobody_is_slow(make_lab: Callable[..., Lab]) -> None:
    """Somebody has to do it."""
    lab = make_lab(slow_start_s=10)
    lab.serve()
    lab.serve("Server1", "Server2", "Server3")
    client = lab.client()
    for n in range(1, 30):
        assert answer(lab, client, OK, GET % n) == lab.order(b"%d" % n)[0]
